/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the guest's programs share.  Each is the guest's init, and prints KTAP on
 * the second serial port.
 */

#ifndef GUEST_H
#define GUEST_H

#include "kselftest_harness.h"
#include "files.h"
#include "pattern.h"

#include <asm/ioctls.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>

/* Where scripts/boot.sh puts the devices */
#define LOW		"0000:01:04.0"	/* BAR below 4 GiB */
#define HIGH		"0000:00:05.0"	/* BAR above 4 GiB */
#define SHORT		"0000:00:06.0"	/* BAR shorter than a page */
#define IOPORT		"0000:00:07.0"	/* pci-testdev: BAR 1 is I/O ports */

#define DRIVER		"ivshmem_sample"
#define DRIVER_DIR	"/sys/bus/pci/drivers/" DRIVER
#define PAGE		4096UL

/* From include/linux/io.h */
#define MEMREMAP_WC	4
#define MEMREMAP_ENC	8

static uint64_t seed;		/* of what is in the memories */
static unsigned long rounds;	/* of tests that repeat something */

static ssize_t read_at(int fd, void *buf, size_t len, off_t off)
{
	ssize_t n = syscall(__NR_pread64, fd, buf, len, off);

	return n < 0 ? -errno : n;
}

static ssize_t write_at(int fd, const void *buf, size_t len, off_t off)
{
	ssize_t n = syscall(__NR_pwrite64, fd, buf, len, off);

	return n < 0 ? -errno : n;
}

static long map_errno(int fd, size_t len, int flags, off_t off)
{
	void *map = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, off);

	if (map == MAP_FAILED)
		return -errno;
	munmap(map, len);
	return 0;
}

static int run(char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		execve(argv[0], argv, NULL);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

static int modprobe(const char *name)
{
	char *argv[] = { "/bin/busybox", "modprobe", (char *)name, NULL };

	return run(argv);
}

static int rmmod(const char *name)
{
	return syscall(__NR_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* What pci_shmem_bar_map() says; on success the BAR stays mapped. */
static int claim(const char *params)
{
	int fd = open("/claim.ko", O_RDONLY), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(__NR_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* PCI devices */

static const char *dev_path(const char *dev, const char *file)
{
	static char path[96];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev, file);
	return path;
}

static void bar_range(const char *dev, int bar, uint64_t *start, uint64_t *end)
{
	char buf[1024], *p = buf;

	*start = *end = 0;
	if (slurp(dev_path(dev, "resource"), buf, sizeof(buf)) <= 0)
		return;
	while (bar--)
		p = strchr(p, '\n') + 1;
	*start = strtoull(p, &p, 16);
	*end = strtoull(p + 1, NULL, 16);
}

static uint64_t bar_start(const char *dev)
{
	uint64_t start, end;

	bar_range(dev, 2, &start, &end);
	return start;
}

static int enable_count(const char *dev)
{
	char buf[16];

	return slurp(dev_path(dev, "enable"), buf, sizeof(buf)) > 0 ? atoi(buf) : -1;
}

static bool is_bound(const char *dev)
{
	char link[128] = "";

	readlink(dev_path(dev, "driver"), link, sizeof(link) - 1);
	return strstr(link, "/" DRIVER) != NULL;
}

/* Does /proc/iomem show BAR 2 as claimed by @name, or by anybody? */
static bool is_claimed(const char *dev, const char *name)
{
	static char buf[1 << 16];
	uint64_t start, end, from, to;
	bool claimed = false;
	char *line, *next;

	bar_range(dev, 2, &start, &end);
	if (slurp("/proc/iomem", buf, sizeof(buf)) <= 0)
		return false;
	for (line = buf; (next = strchr(line, '\n')); line = next + 1) {
		*next = '\0';
		while (*line == ' ')
			line++;
		from = strtoull(line, &line, 16);
		to = strtoull(line + 1, &line, 16);
		if (from != start || to != end)
			continue;
		line += strlen(" : ");
		if (name ? !strcmp(line, name) : strcmp(line, dev) != 0)
			claimed = true;
	}
	return claimed;
}

/* How the kernel maps the memory at @start, or NULL if it does not. */
static const char *cache_mode(uint64_t start)
{
	static char buf[1 << 16];
	char key[64], *mode;

	if (slurp("/sys/kernel/debug/x86/pat_memtype_list", buf, sizeof(buf)) <= 0)
		return "unknown";
	snprintf(key, sizeof(key), "[mem 0x%016llx-", (unsigned long long)start);
	mode = strstr(buf, key);
	if (!mode)
		return NULL;
	mode = strstr(mode, "] ") + 2;
	*strchr(mode, '\n') = '\0';
	return mode;
}

static int bind_driver(const char *dev)
{
	return spew(DRIVER_DIR "/bind", dev);
}

static int unbind_driver(const char *dev)
{
	return spew(DRIVER_DIR "/unbind", dev);
}

/* Returns the signal that touching @p raised, in a child. */
static int touch(volatile char *p)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		(void)*p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status & 0x7f;
}

/* The program */

static void redirect_to(const char *tty)
{
	int fd = open(tty, O_WRONLY);

	if (fd >= 0) {
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
}

int main(int argc, char **argv)
{
	char *no_args[] = { argv[0], NULL };

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	redirect_to("/dev/ttyS1");

	/* "-- SEED ROUNDS" at the end of the kernel's command line */
	if (argc > 2) {
		seed = strtoull(argv[argc - 2], NULL, 0);
		rounds = strtoul(argv[argc - 1], NULL, 0);
	}
	if (!fork())
		return test_harness_run(1, no_args);
	wait(NULL);
	ioctl(STDOUT_FILENO, TCSBRK, 1);	/* wait until all is sent */
	reboot(RB_AUTOBOOT);
	return 1;
}

#endif
