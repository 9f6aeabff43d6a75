/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Small files, most of them the kernel's, and errno as a return value
 */

#ifndef FILES_H
#define FILES_H

/* The length of what was read, or an error; never a part of it if there is an error. */
static int slurp(const char *path, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	buf[len] = '\0';
	close(fd);
	return n < 0 ? -errno : (int)len;
}

static int spew(const char *path, const char *text)
{
	int fd, ret = 0;

	fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		ret = -errno;
	close(fd);
	return ret;
}

/*
 * What kmemleak says of this boot; -ENOENT if it is not there.  It does not count
 * young objects, and looks at some of what it finds a second time first.  Without the
 * first sleep, it missed the last of 16 objects that qxl's probe leaked.
 */
static int kmemleak(char *buf, size_t size)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	int i, ret;

	for (i = 0; i < 2; i++) {
		if (!access(path, F_OK))
			sleep(6);
		ret = spew(path, "scan");
		if (ret)
			return ret;
	}
	return slurp(path, buf, size);
}

#endif /* FILES_H */
