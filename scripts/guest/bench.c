// SPDX-License-Identifier: GPL-2.0
/*
 * What mapping costs: in the kernel through the helper and by hand, in user space
 * through the sample and through what there is besides it.  Under -icount the
 * cycle counter counts instructions.  Each line "# bench: NAME VALUE" goes to
 * host/cost.py, which knows how much it may be.
 */

#include "mapping.h"

/* Where host/tests.py puts devices with a BAR 2 of so much */
static const struct {
	const char *name, *dev;
} bars[] = {
	{ "4K", "0000:00:05.0" },
	{ "16M", "0000:00:06.0" },
	{ "4G", "0000:00:07.0" },
	{ "64G", "0000:00:08.0" },
};

#define LARGEST	bars[3].dev

#define KIB	1024UL
#define GIB	(1024 * MIB)

static const struct {
	const char *name;
	size_t len;
} sizes[] = {
	{ "4K", 4 * KIB },
	{ "16K", 16 * KIB },
	{ "64K", 64 * KIB },
	{ "256K", 256 * KIB },
	{ "1M", MIB },
	{ "2M", 2 * MIB },
	{ "4M", 4 * MIB },
	{ "16M", 16 * MIB },
	{ "64M", 64 * MIB },
	{ "256M", 256 * MIB },
	{ "1G", GIB },
	{ "8G", 8 * GIB },
	{ "64G", 64 * GIB },
};

#define WRITTEN	(64 * MIB)	/* at most: it is memory of the host */
#define TMPFS	(256 * MIB)	/* at most: it is memory of the guest */
#define PIECE	(64 * KIB)	/* of a read() or write() */
#define REPEATS	3		/* of which the least counts */

/* What is measured: a memory to be mapped */
static const char sample[] = "sample", resource[] = "resource2_wc", tmpfs[] = "tmpfs";

static uint64_t now(void)
{
	struct timespec ts;

	if (!getenv("TIMES"))
		return __builtin_ia32_rdtsc();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static void result(const char *name, uint64_t val)
{
	say("# bench: %s %llu\n", name, (unsigned long long)val);
}

static void at_least(uint64_t *least, uint64_t val)
{
	if (!*least || val < *least)
		*least = val;
}

/* The kernel */

TEST(kernel)
{
	static const char * const ways[] = { "helper", "by_hand", "pcim_helper", "devm", "pcim_iomap_region" };
	char params[64], buf[128], name[64], *p;
	bool large = has_1g_pages();
	unsigned int i, way, rounds;

	for (i = 0; i < ARRAY_SIZE(bars); i++) {
		/* Seven million instructions, without */
		rounds = large || bar_size(bars[i].dev) < GIB ? 200 : 10;
		snprintf(params, sizeof(params), "dev=%s rounds=%u cycles=%d", bars[i].dev, rounds, !getenv("TIMES"));
		ASSERT_EQ(0, insmod("/timing.ko", params));
		p = must_slurp("/sys/module/timing/parameters/least", buf, sizeof(buf));
		for (way = 0; way < ARRAY_SIZE(ways); way++) {
			snprintf(name, sizeof(name), "kernel.%s.%s.%s", large ? "1G" : "2M", bars[i].name, ways[way]);
			result(name, strtoull(p, &p, 10));
			p++;
		}
		ASSERT_EQ(0, rmmod("timing"));
		progress(i, ARRAY_SIZE(bars));
	}
}

/* User space */

static int open_memory(const char *what, size_t len)
{
	int fd;

	if (what == sample)
		return open(dev_path(LARGEST, "shmem"), O_RDWR);
	if (what == resource)
		return open(dev_path(LARGEST, "resource2_wc"), O_RDWR);
	fd = open("/tmp/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	unlink("/tmp/file");
	return fd >= 0 && !syscall(__NR_ftruncate, fd, len) ? fd : -1;
}

/*
 * Of some GiB, where all leaves fit.  The kernel would choose a place that is aligned to
 * 2 MiB only.
 */
static void *place_of(size_t len)
{
	return len < GIB ? NULL : (void *)(1UL << 40);
}

/* A byte in each @step */
static void touch_all(volatile char *map, size_t len, size_t step, bool write)
{
	size_t i;

	if (write)
		for (i = 0; i < len; i += step)
			map[i] = 1;
	else
		for (i = 0; i < len; i += step)
			(void)map[i];
}

/* A file of tmpfs is filled the first time, which is not the least. */
static bool map_and_touch(const char *what, unsigned int size, bool write)
{
	uint64_t start, mapped, touched, again, sparse, end, took[5] = { 0 };
	static const char * const parts[] = { "mmap", "touch", "again", "munmap", "all" };
	size_t len = sizes[size].len;
	int fd = open_memory(what, len);
	unsigned int i, repeats = len > GIB ? 1 : REPEATS;
	char name[64], *map;
	long faulted = 0;

	if (fd < 0)
		return false;
	for (i = 0; i < repeats; i++) {
		faulted = faults();
		start = now();
		map = mmap(place_of(len), len, RW, MAP_SHARED, fd, 0);
		mapped = now();
		if (map == MAP_FAILED) {
			close(fd);
			return false;
		}
		touch_all(map, len, PAGE, write);
		touched = now();
		touch_all(map, len, PAGE, write);
		again = now();
		touch_all(map, len, PMD, write);
		sparse = now();
		munmap(map, len);
		end = now();
		at_least(&took[0], mapped - start);
		at_least(&took[1], touched - mapped);
		at_least(&took[2], again - touched);
		at_least(&took[3], end - sparse);
		at_least(&took[4], end - sparse + touched - start);
		/* With all of it mapped by mmap(), the same as if nothing else had been touched */
		if (what == resource && len == 64 * GIB)
			result("resource2_wc.64G.sparse", end - again + mapped - start);
		faulted = faults() - faulted;
	}
	close(fd);
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(name, sizeof(name), "%s.%s.%s.%s", what, sizes[size].name, write ? "write" : "read", parts[i]);
		result(name, took[i]);
	}
	snprintf(name, sizeof(name), "%s.%s.%s.faults", what, sizes[size].name, write ? "write" : "read");
	result(name, faulted);
	return true;
}

static bool mappings(const char *what)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (what == tmpfs && sizes[i].len > TMPFS)
			break;
		if (!map_and_touch(what, i, false) ||
		    (sizes[i].len <= WRITTEN && !map_and_touch(what, i, true)))
			return false;
		progress(i, ARRAY_SIZE(sizes));
	}
	return true;
}

static bool throughput(const char *what)
{
	uint64_t start, written = 0, read = 0;
	size_t len = 16 * MIB, off;
	int i, fd = open_memory(what, len);
	static char buf[PIECE];
	char name[64];
	ssize_t n = 1;

	for (i = 0; i < REPEATS; i++) {
		/* A call need not take all of it */
		start = now();
		for (off = 0; off < len && n > 0; off += n)
			n = write_at(fd, buf, sizeof(buf), off);
		at_least(&written, now() - start);
		start = now();
		for (off = 0; off < len && n > 0; off += n)
			n = read_at(fd, buf, sizeof(buf), off);
		at_least(&read, now() - start);
	}
	close(fd);
	snprintf(name, sizeof(name), "%s.write()", what);
	result(name, written);
	snprintf(name, sizeof(name), "%s.read()", what);
	result(name, read);
	return n > 0;
}

/* 64 GiB, of which a word in each 2 MiB is read: so little that a tick of the clock shows */
static bool sparse(void)
{
	size_t len = 64 * GIB;
	int i, fd = open_memory(sample, len);
	uint64_t start, least = 0;
	char *map;

	for (i = 0; i < REPEATS; i++) {
		start = now();
		map = mmap(place_of(len), len, RW, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			break;
		touch_all(map, len, PMD, false);
		munmap(map, len);
		at_least(&least, now() - start);
	}
	close(fd);
	result("sample.64G.sparse", least);
	return i == REPEATS;
}

/* One for each of the largest leaves that fit */
static long faults_of_sample(size_t len)
{
	int fd = open_memory(sample, len);
	char *map = mmap(place_of(len), len, RW, MAP_SHARED, fd, 0);
	long before = faults();

	close(fd);
	if (map == MAP_FAILED)
		return -errno;
	touch_all(map, len, PAGE, false);
	munmap(map, len);
	return faults() - before;
}

FIXTURE(user) { };

FIXTURE_SETUP(user)
{
	if (!has_1g_pages())
		SKIP(return, "the same with smaller pages");
}

FIXTURE_TEARDOWN(user) { }

/* No driver is bound: one that is would have it mapped in another cache mode. */
TEST_F(user, resource2_wc)
{
	ASSERT_EQ(0, spew(dev_path(LARGEST, "enable"), "1"));
	EXPECT_TRUE(mappings(resource));
	EXPECT_EQ(0, spew(dev_path(LARGEST, "enable"), "0"));
}

TEST_F(user, tmpfs)
{
	mkdir("/tmp", 0700);
	ASSERT_EQ(0, mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
	EXPECT_TRUE(mappings(tmpfs));
	EXPECT_TRUE(throughput(tmpfs));
}

TEST_F(user, sample)
{
	ASSERT_EQ(0, modprobe(DRIVER));
	ASSERT_TRUE(is_bound(LARGEST));
	/* Page by page, the rest would take too long. */
	ASSERT_EQ(32, faults_of_sample(64 * MIB));
	ASSERT_EQ(8, faults_of_sample(8 * GIB));
	ASSERT_EQ(64, faults_of_sample(64 * GIB));
	EXPECT_TRUE(mappings(sample));
	EXPECT_TRUE(sparse());
	EXPECT_TRUE(throughput(sample));
}

/* With nothing mapped, and with 64 GiB that have been touched */
TEST_F(user, unbind)
{
	uint64_t start, idle = 0, mapped = 0;
	size_t len = 64 * GIB;
	char *map;
	int i, fd;

	ASSERT_TRUE(is_bound(LARGEST));
	for (i = 0; i < REPEATS; i++) {
		start = now();
		ASSERT_EQ(0, unbind_driver(LARGEST));
		at_least(&idle, now() - start);
		ASSERT_EQ(0, bind_driver(LARGEST));
		fd = open_memory(sample, len);
		ASSERT_GE(fd, 0);
		map = mmap(place_of(len), len, RW, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		touch_all(map, len, PMD, false);
		start = now();
		ASSERT_EQ(0, unbind_driver(LARGEST));
		at_least(&mapped, now() - start);
		EXPECT_EQ(SIGBUS, touch(map));
		munmap(map, len);
		close(fd);
		ASSERT_EQ(0, bind_driver(LARGEST));
	}
	result("sample.unbind", mapped);
	result("nothing.unbind", idle);
}
