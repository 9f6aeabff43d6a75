// SPDX-License-Identifier: GPL-2.0
/*
 * The guest's only program: tests the sample driver, and the helper through it,
 * on emulated ivshmem devices.  Prints KTAP on the second serial port.
 *
 * The order matters: the host looks at the memory when the guest has ended, so
 * nothing but write_pattern leaves anything behind in it.
 */

#include "kselftest_harness.h"
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

static uint64_t seed;

/* Small files, and errno as a return value */

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
	return len;
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

/* Loading the driver, as udev would */

FIXTURE(loading) { };
FIXTURE_SETUP(loading) { }
FIXTURE_TEARDOWN(loading) { }

static bool built_in(void)
{
	return !access(DRIVER_DIR, F_OK) && access("/sys/module/" DRIVER "/initstate", F_OK);
}

TEST_F(loading, modprobe_by_alias)
{
	char alias[128];
	int len;

	if (built_in())
		SKIP(return, DRIVER " is built in");
	ASSERT_FALSE(is_bound(LOW));
	ASSERT_FALSE(is_claimed(LOW, NULL));
	len = slurp(dev_path(LOW, "modalias"), alias, sizeof(alias));
	ASSERT_GT(len, 0);
	alias[len - 1] = '\0';
	ASSERT_EQ(0, modprobe(alias));
	EXPECT_TRUE(is_bound(LOW));
}

/* Each of the two real devices */

FIXTURE(shmem) {
	uint64_t start, len, seed;
	int fd;
	char *map;
};

FIXTURE_VARIANT(shmem) {
	const char *dev;
};

FIXTURE_VARIANT_ADD(shmem, below_4g) { .dev = LOW };
FIXTURE_VARIANT_ADD(shmem, above_4g) { .dev = HIGH };

FIXTURE_SETUP(shmem)
{
	uint64_t end;

	bar_range(variant->dev, 2, &self->start, &end);
	self->len = end - self->start + 1;
	self->seed = seed ^ self->len;
	ASSERT_TRUE(is_bound(variant->dev));
	self->fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->len, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(shmem)
{
	munmap(self->map, self->len);
	close(self->fd);
}

TEST_F(shmem, bound)
{
	struct stat st;

	EXPECT_EQ(!strcmp(variant->dev, HIGH), self->start >= 1ULL << 32);
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
	EXPECT_EQ(1, enable_count(variant->dev));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(self->len, st.st_size);
	EXPECT_EQ(0600, st.st_mode & 07777);
}

TEST_F(shmem, cache_mode)
{
	const char *mode = cache_mode(self->start);

	ASSERT_NE(NULL, mode);
	TH_LOG("BAR at %#llx: asked for write-back, got %s",
	       (unsigned long long)self->start, mode);
	if (!strcmp(variant->dev, HIGH))
		EXPECT_STREQ("write-back", mode);
}

TEST_F_TIMEOUT(shmem, read_pattern, 120)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS], i, page;

	for (i = 0; i < pattern_pages(self->len); i++) {
		page = pattern_page(self->seed, self->len, i);
		pattern_fill(want, self->seed, page);
		ASSERT_EQ(PAGE, read_at(self->fd, have, PAGE, page * PAGE));
		ASSERT_EQ(0, memcmp(have, want, PAGE))
			TH_LOG("read() of page %llu", (unsigned long long)page);
		ASSERT_EQ(0, memcmp(self->map + page * PAGE, want, PAGE))
			TH_LOG("mmap of page %llu", (unsigned long long)page);
	}
}

TEST_F_TIMEOUT(shmem, write_pattern, 120)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS], i, page;
	const size_t half = PAGE / 2;
	char *src = (char *)want;

	for (i = 0; i < pattern_pages(self->len); i++) {
		if (!pattern_guest_writes(self->seed, self->len, i))
			continue;
		page = pattern_page(self->seed, self->len, i);
		pattern_fill(want, self->seed ^ PATTERN_GUEST, page);
		ASSERT_EQ(half, write_at(self->fd, src, half, page * PAGE));
		memcpy(self->map + page * PAGE + half, src + half, half);
		ASSERT_EQ(0, memcmp(self->map + page * PAGE, want, half))
			TH_LOG("write() to page %llu", (unsigned long long)page);
		ASSERT_EQ(PAGE, read_at(self->fd, have, PAGE, page * PAGE));
		ASSERT_EQ(0, memcmp(have, want, PAGE))
			TH_LOG("mmap of page %llu", (unsigned long long)page);
	}
}

TEST_F(shmem, unaligned)
{
	char saved[64], have[64];
	const char text[] = "across a page's end";
	const off_t off = PAGE - 7;

	memcpy(saved, self->map + off, sizeof(saved));
	ASSERT_EQ(sizeof(text), write_at(self->fd, text, sizeof(text), off));
	EXPECT_EQ(0, memcmp(self->map + off, text, sizeof(text)));
	EXPECT_EQ(sizeof(text), read_at(self->fd, have, sizeof(text), off));
	EXPECT_EQ(0, memcmp(have, text, sizeof(text)));
	EXPECT_EQ(0, memcmp(self->map + off + sizeof(text), saved + sizeof(text),
			    sizeof(saved) - sizeof(text)));
	memcpy(self->map + off, saved, sizeof(saved));
}

TEST_F(shmem, refused_out_of_range)
{
	const off_t end = self->len;
	char buf[64];

	EXPECT_EQ(0, read_at(self->fd, buf, sizeof(buf), end));
	EXPECT_EQ(0, read_at(self->fd, buf, sizeof(buf), end + PAGE));
	EXPECT_EQ(-EINVAL, read_at(self->fd, buf, sizeof(buf), -1));
	EXPECT_EQ(-EFBIG, write_at(self->fd, buf, sizeof(buf), end));
	EXPECT_EQ(-EFBIG, write_at(self->fd, buf, sizeof(buf), end + PAGE));

	/* Across the end: as far as there is memory */
	EXPECT_EQ(16, read_at(self->fd, buf, sizeof(buf), end - 16));
	EXPECT_EQ(16, write_at(self->fd, buf, sizeof(buf), end - 16));

	EXPECT_EQ(0, map_errno(self->fd, PAGE, MAP_SHARED, end - PAGE));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_SHARED, end));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, 2 * PAGE, MAP_SHARED, end - PAGE));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, end + PAGE, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_PRIVATE, 0));
}

TEST_F(shmem, second_claimant)
{
	char params[64];

	snprintf(params, sizeof(params), "dev=%s", variant->dev);
	EXPECT_EQ(-EBUSY, claim(params));

	/*
	 * Another cache mode than the one in use cannot be had: that mapping
	 * was tried before the claim if this is any other error.
	 */
	snprintf(params, sizeof(params), "dev=%s flags=%d", variant->dev, MEMREMAP_WC);
	EXPECT_EQ(-EBUSY, claim(params));
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
}

TEST_F(shmem, unbound_while_in_use)
{
	char buf[16], first = self->map[0];
	int fd;

	ASSERT_EQ(0, unbind_driver(variant->dev));
	EXPECT_FALSE(is_claimed(variant->dev, NULL));
	EXPECT_EQ(NULL, cache_mode(self->start)) TH_LOG("still mapped");
	EXPECT_EQ(0, enable_count(variant->dev));
	EXPECT_EQ(-1, open(dev_path(variant->dev, "shmem"), O_RDWR));
	EXPECT_EQ(ENOENT, errno);

	EXPECT_EQ(-ENODEV, read_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(-ENODEV, write_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(-ENODEV, map_errno(self->fd, PAGE, MAP_SHARED, 0));
	EXPECT_EQ(SIGBUS, touch(self->map)) TH_LOG("a page used before");
	EXPECT_EQ(SIGBUS, touch(self->map + 5 * PAGE)) TH_LOG("a page not used before");

	/* What was cut off stays so, and the driver starts afresh. */
	ASSERT_EQ(0, bind_driver(variant->dev));
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
	EXPECT_EQ(1, enable_count(variant->dev));
	EXPECT_EQ(-ENODEV, read_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(SIGBUS, touch(self->map));
	fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, read_at(fd, buf, 1, 0));
	EXPECT_EQ(first, buf[0]);
	close(fd);
}

TEST_F(shmem, claimed_by_another)
{
	char params[64];

	ASSERT_EQ(0, unbind_driver(variant->dev));
	snprintf(params, sizeof(params), "dev=%s", variant->dev);
	ASSERT_EQ(0, claim(params));
	EXPECT_TRUE(is_claimed(variant->dev, "claim"));
	EXPECT_EQ(-EBUSY, bind_driver(variant->dev));
	EXPECT_EQ(0, enable_count(variant->dev));
	EXPECT_TRUE(is_claimed(variant->dev, "claim"));

	ASSERT_EQ(0, rmmod("claim"));
	EXPECT_FALSE(is_claimed(variant->dev, NULL));
	EXPECT_EQ(0, bind_driver(variant->dev));
}

/* The helper's error table, as far as these devices reach it */

FIXTURE(errors) { };

FIXTURE_SETUP(errors)
{
	ASSERT_EQ(0, unbind_driver(LOW));
}

FIXTURE_TEARDOWN(errors)
{
	EXPECT_FALSE(is_claimed(LOW, NULL));
	EXPECT_EQ(0, bind_driver(LOW));
}

TEST_F(errors, bar_index)
{
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " bar=-1"));
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " bar=6"));
	EXPECT_EQ(-ENXIO, claim("dev=" LOW " bar=1")) TH_LOG("not implemented");
	EXPECT_EQ(-ENXIO, claim("dev=" LOW " bar=3")) TH_LOG("upper half of BAR 2");
}

TEST_F(errors, io_port_bar)
{
	EXPECT_EQ(-EINVAL, claim("dev=" IOPORT " bar=1"));
}

TEST_F(errors, flags)
{
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=0"));
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=9")) TH_LOG("WB and ENC");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=16")) TH_LOG("DEC alone");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=33")) TH_LOG("WB and an unknown one");
	EXPECT_EQ(0, claim("dev=" LOW " flags=2")) TH_LOG("WT");
	EXPECT_EQ(0, rmmod("claim"));
	EXPECT_EQ(0, claim("dev=" LOW " flags=4")) TH_LOG("WC");
	EXPECT_EQ(0, rmmod("claim"));
}

TEST_F(errors, min_len)
{
	uint64_t start, end;
	char params[64];

	bar_range(LOW, 2, &start, &end);
	snprintf(params, sizeof(params), "dev=" LOW " min_len=%llu",
		 (unsigned long long)(end - start + 2));
	EXPECT_EQ(-EINVAL, claim(params)) TH_LOG("one byte too many");
	snprintf(params, sizeof(params), "dev=" LOW " min_len=%llu",
		 (unsigned long long)(end - start + 1));
	EXPECT_EQ(0, claim(params)) TH_LOG("all of it");
	EXPECT_EQ(0, rmmod("claim"));
}

/* The driver itself refuses a BAR that user space cannot map a page of. */
TEST_F(errors, short_bar)
{
	EXPECT_FALSE(is_bound(SHORT));
	EXPECT_EQ(-EINVAL, bind_driver(SHORT));
	EXPECT_FALSE(is_claimed(SHORT, NULL));
	EXPECT_EQ(0, enable_count(SHORT));
}

/* Last: take the driver away while both devices are in use */

FIXTURE(unloading) { };
FIXTURE_SETUP(unloading) { }
FIXTURE_TEARDOWN(unloading) { }

TEST_F(unloading, rmmod_while_bound)
{
	static const char * const devs[] = { LOW, HIGH };
	char buf[16], *map[2];
	int fd[2], i;

	if (built_in())
		SKIP(return, DRIVER " is built in");
	for (i = 0; i < 2; i++) {
		fd[i] = open(dev_path(devs[i], "shmem"), O_RDWR);
		ASSERT_GE(fd[i], 0);
		map[i] = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd[i], 0);
		ASSERT_NE(MAP_FAILED, map[i]);
		ASSERT_EQ(0, touch(map[i]));
	}
	ASSERT_EQ(0, rmmod(DRIVER));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENODEV, read_at(fd[i], buf, sizeof(buf), 0));
		EXPECT_EQ(SIGBUS, touch(map[i]));
		EXPECT_FALSE(is_claimed(devs[i], NULL));
		EXPECT_EQ(0, enable_count(devs[i]));
	}
	EXPECT_EQ(0, modprobe(DRIVER));
	EXPECT_TRUE(is_bound(LOW));
	EXPECT_TRUE(is_bound(HIGH));
}

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

	/* "-- SEED" at the end of the kernel's command line */
	seed = argc > 1 ? strtoull(argv[argc - 1], NULL, 0) : 0;
	if (!fork())
		return test_harness_run(1, no_args);
	wait(NULL);
	ioctl(STDOUT_FILENO, TCSBRK, 1);	/* wait until all is sent */
	reboot(RB_AUTOBOOT);
	return 1;
}
