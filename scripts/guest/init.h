/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a guest's program asks the kernel and the host, as the guest's init.  It prints KTAP on
 * the serial port that PORT= of the kernel's command line names.  What the lines
 * "# host: ", "# progress: " and "# result: " mean to the host is in host/vm.py.
 */

#ifndef INIT_H
#define INIT_H

#include "files.h"
#include "pattern.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>

/* Where host/ puts the devices; LOW has its BAR below 4 GiB where that matters. */
#ifdef __powerpc64__
#define LOW		"0000:00:04.0"
#else
#define LOW		"0000:01:04.0"
#endif
#define HIGH		"0000:00:05.0"	/* BAR above 4 GiB */
#define SHORT		"0000:00:06.0"	/* BAR shorter than a page */
#define IOPORT		"0000:00:07.0"	/* pci-testdev: BAR 1 is I/O ports */

#ifndef DRIVER
#define DRIVER		"ivshmem_sample"
#endif
#define DRIVER_DIR	"/sys/bus/pci/drivers/" DRIVER
#define PAGE		4096UL

/* From include/linux/io.h */
#define MEMREMAP_WC	4

static uint64_t seed;		/* of what is in the memories */
static unsigned long rounds;	/* of tests that repeat something */

/* Print in one write(): other processes do, too. */
static void say(const char *fmt, ...)
{
	char line[256];
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	write(STDOUT_FILENO, line, len);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

/* The host gives up on a guest that says nothing. */
static void progress(unsigned long done, unsigned long all)
{
	static uint64_t last;
	uint64_t now = now_ms();

	if (now - last < 5000)
		return;
	last = now;
	say("# progress: %lu of %lu\n", done, all);
}

/* Have the host do something; it answers with one character, 'y' for done. */
#define host_does(fmt, ...) \
	({ say("# host: " fmt "\n", ##__VA_ARGS__); host_answers(); })

static bool host_answers(void)
{
	char c = 0;

	return read(STDIN_FILENO, &c, 1) == 1 && c == 'y';
}

/* 32-bit kernels take an offset in two words; of those, this knows little-endian i386. */
#if __SIZEOF_LONG__ == 8
#define OFFSET(off)	(off)
#else
#define OFFSET(off)	(long)(off), (long)((off) >> 32)
#endif

static ssize_t read_at(int fd, void *buf, size_t len, int64_t off)
{
	ssize_t n = syscall(__NR_pread64, fd, buf, len, OFFSET(off));

	return n < 0 ? -errno : n;
}

static ssize_t write_at(int fd, const void *buf, size_t len, int64_t off)
{
	ssize_t n = syscall(__NR_pwrite64, fd, buf, len, OFFSET(off));

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
	int status = -1;
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

static int insmod(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(__NR_finit_module, fd, params, 0) ? -errno : 0;
	close(fd);
	return ret;
}

/* What pci_shmem_bar_map() says; on success the BAR stays mapped. */
static int claim(const char *params)
{
	return insmod("/claim.ko", params);
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

static uint64_t bar_size(const char *dev)
{
	uint64_t start, end;

	bar_range(dev, 2, &start, &end);
	return end - start + 1;
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

/* All of a file that must be there: a test cannot go on without. */
static char *must_slurp(const char *path, char *buf, size_t size)
{
	int len = slurp(path, buf, size);

	if (len <= 0 || (size_t)len == size - 1) {
		say("not ok - cannot read all of %s: %d\n", path, len);
		abort();
	}
	return buf;
}

/* The next line of what was /proc/iomem or /proc/ioports: a range, and whose it is */
static bool next_resource(char **p, uint64_t *start, uint64_t *end, char **name)
{
	char *line = *p, *eol = strchr(line, '\n');

	if (!eol)
		return false;
	*eol = '\0';
	*p = eol + 1;
	*start = strtoull(line, &line, 16);
	*end = strtoull(line + 1, &line, 16);
	*name = line + strlen(" : ");
	return true;
}

/* Does /proc/iomem show BAR 2 as claimed by @name, or by anybody? */
static bool is_claimed(const char *dev, const char *name)
{
	static char buf[1 << 16];
	uint64_t start, end, from, to;
	char *p, *owner;

	bar_range(dev, 2, &start, &end);
	p = must_slurp("/proc/iomem", buf, sizeof(buf));
	while (next_resource(&p, &from, &to, &owner))
		/* The window of a bridge may be as large. */
		if (from == start && to == end &&
		    (name ? !strcmp(owner, name) : strcmp(owner, dev) && strncmp(owner, "PCI Bus ", 8)))
			return true;
	return false;
}

/* Is @name in /proc/iomem, as a device or as a driver that has claimed a BAR? */
static bool in_iomem(const char *name)
{
	static char buf[1 << 16];

	return strstr(must_slurp("/proc/iomem", buf, sizeof(buf)), name) != NULL;
}

/* Has the kernel a mapping of the memory at @start? */
static bool is_mapped(uint64_t start)
{
	static char buf[1 << 17];
	char *phys = must_slurp("/proc/vmallocinfo", buf, sizeof(buf));

	while ((phys = strstr(phys, " phys="))) {
		phys += strlen(" phys=");
		if (strtoull(phys, NULL, 16) == start)
			return true;
	}
	return false;
}

/* How x86 maps the memory at @start, or NULL if it does not. */
static const char *cache_mode(uint64_t start)
{
	static char buf[1 << 16];
	char key[64], *mode;

	must_slurp("/sys/kernel/debug/x86/pat_memtype_list", buf, sizeof(buf));
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

/* Lines go out, and characters come in, as they are. */
static void use_port(const char *path)
{
	int fd = open(path, O_RDWR | O_NOCTTY);
	struct termios tio;

	if (fd < 0 || ioctl(fd, TCGETS, &tio))
		return;
	tio.c_oflag &= ~OPOST;
	tio.c_lflag &= ~(ICANON | ECHO);
	ioctl(fd, TCSETS, &tio);
	dup2(fd, STDIN_FILENO);
	dup2(fd, STDOUT_FILENO);
	dup2(fd, STDERR_FILENO);
}

/*
 * What main() does: have @run print KTAP in a child, and end the guest when that has.
 * "-- SEED ROUNDS" is at the end of the kernel's command line.
 */
static int be_init(int argc, char **argv, int (*run)(int argc, char **argv))
{
	char *no_args[] = { argv[0], NULL };

	mount("proc", "/proc", "proc", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	/* KCSAN: kernfs refreshes the link count of a directory's inode in each that walks through it */
	spew("/sys/kernel/debug/kcsan", "!set_nlink");
	use_port(getenv("PORT") ?: "/dev/ttyS1");

	if (argc > 2) {
		seed = strtoull(argv[argc - 2], NULL, 0);
		rounds = strtoul(argv[argc - 1], NULL, 0);
	}
	if (!fork())
		return run(1, no_args);
	wait(NULL);
	ioctl(STDOUT_FILENO, TCSBRK, 1);	/* wait until all is sent */
	reboot(RB_AUTOBOOT);
	return 1;
}

#endif
