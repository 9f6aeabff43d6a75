/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs of soak.py need besides guest.h: one device, and a
 * host to talk to
 */

#ifndef HOST_H
#define HOST_H

#include "guest.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Where soak.py puts the device */
#define DEV		"0000:00:05.0"

static int open_shmem(void)
{
	int fd = open(dev_path(DEV, "shmem"), O_RDWR);

	return fd < 0 ? -errno : fd;
}

static void *map_shmem(int fd, size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

/* Is @name in /proc/iomem, as a device or as a driver that has claimed a BAR? */
static bool in_iomem(const char *name)
{
	static char buf[1 << 16];

	return slurp("/proc/iomem", buf, sizeof(buf)) <= 0 || strstr(buf, name);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* Print in one write(): other processes do, too. */
static void say(const char *fmt, ...)
{
	char line[160];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	write(STDOUT_FILENO, line, len);
}

/* Have the host do something; it answers with one character, 'y' for done. */
static bool host_does(const char *what, unsigned long arg)
{
	struct pollfd pfd = { .events = POLLIN };
	struct termios tio;
	char c = 0;

	pfd.fd = open("/dev/ttyS1", O_RDWR | O_NOCTTY);
	if (pfd.fd < 0 || ioctl(pfd.fd, TCGETS, &tio))
		return false;
	tio.c_lflag &= ~(ICANON | ECHO);
	ioctl(pfd.fd, TCSETS, &tio);
	say("# host: %s %lu\n", what, arg);
	if (poll(&pfd, 1, 60000) == 1)
		read(pfd.fd, &c, 1);
	close(pfd.fd);
	return c == 'y';
}

#endif
