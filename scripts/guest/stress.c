// SPDX-License-Identifier: GPL-2.0
/*
 * Failing allocations, and unbinding the driver under load.  For a kernel that looks for
 * bugs while this goes on: unlike in hotplug and walk, where BARs move, processors run at
 * the same time on any QEMU, see host/vm.py.
 */

#include "guest.h"

#include <sched.h>

/* Why this is left to us is in host/vm.py. */
static int start_second_cpu(void)
{
	return spew("/sys/devices/system/cpu/cpu1/online", "1");
}

static void write_param(const char *dir, const char *file, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", dir, file);
	spew(path, value);
}

/*
 * Removing an attribute looks for mappings to remove only if kernfs has counted some, so
 * map one from many files at once and see that it has counted right: the attribute of the
 * driver if that is there, or else one of the PCI core, which does not fill mappings in
 * faults.
 */
FIXTURE(kernfs) { };

FIXTURE_SETUP(kernfs)
{
	ASSERT_EQ(0, start_second_cpu());
	modprobe(DRIVER);
}

FIXTURE_TEARDOWN(kernfs) { }

TEST_F_TIMEOUT(kernfs, mapped_by_many, 24 * 3600)
{
	const unsigned int maps = 100 * (rounds < 1000 ? rounds : 1000);
	const bool bound = is_bound(HIGH);
	const char *attr = bound ? "shmem" : "resource2_wc";
	unsigned int i, n;
	int fd, status;
	char *map;

	fd = open(dev_path(HIGH, attr), O_RDWR);
	ASSERT_GE(fd, 0);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);

	for (i = 0; i < 4; i++) {
		if (fork())
			continue;
		for (n = 0; n < maps; n++) {
			progress(n, maps);
			fd = open(dev_path(HIGH, attr), O_RDWR);
			if (map_errno(fd, PAGE, MAP_SHARED, 0))
				_exit(1);
			close(fd);
		}
		_exit(0);
	}
	while (i--) {
		EXPECT_EQ(0, wait(&status) < 0 ? -errno : status);
	}

	if (bound) {
		ASSERT_EQ(0, unbind_driver(HIGH));
		EXPECT_EQ(SIGBUS, touch(map));
	} else {
		ASSERT_EQ(0, spew(dev_path(HIGH, "remove"), "1"));
	}
	munmap(map, PAGE);
	close(fd);
	if (bound)
		EXPECT_EQ(0, bind_driver(HIGH));
}

FIXTURE(driver) { };

FIXTURE_SETUP(driver)
{
	ASSERT_EQ(0, start_second_cpu());
	if (!is_bound(HIGH))
		modprobe(DRIVER);
	if (!is_bound(HIGH))
		SKIP(return, "no driver");
}

FIXTURE_TEARDOWN(driver) { }

/*
 * Bind the driver with the n-th allocation failing, until there is no n-th any
 * more.  Some allocations may fail without the bind failing.
 */
TEST_F_TIMEOUT(driver, every_allocation_fails, 24 * 3600)
{
	int bind, arm, look, disarm, n, ret, failures = 0;
	char buf[16];

	if (access("/proc/self/fail-nth", F_OK))
		SKIP(return, "no fault injection in this kernel");
	write_param("failslab", "ignore-gfp-wait", "N");
	write_param("failslab", "verbose", "0");
	write_param("fail_page_alloc", "ignore-gfp-wait", "N");
	write_param("fail_page_alloc", "min-order", "0");
	write_param("fail_page_alloc", "verbose", "0");

	ASSERT_EQ(0, unbind_driver(HIGH));
	for (n = 1; ; n++) {
		progress(n, 0);
		/* Opening a file allocates, so do all of that before */
		bind = open(DRIVER_DIR "/bind", O_WRONLY);
		arm = open("/proc/self/fail-nth", O_RDWR);
		look = open("/proc/self/fail-nth", O_RDWR);
		disarm = open("/proc/self/fail-nth", O_RDWR);
		ASSERT_GE(disarm, 0);

		snprintf(buf, sizeof(buf), "%d", n);
		ASSERT_GT(write(arm, buf, strlen(buf)), 0);
		ret = write(bind, HIGH, strlen(HIGH)) < 0 ? -errno : 0;
		memset(buf, 0, sizeof(buf));
		ASSERT_GT(read(look, buf, sizeof(buf) - 1), 0);
		ASSERT_GT(write(disarm, "0", 1), 0);
		close(bind);
		close(arm);
		close(look);
		close(disarm);

		/* What is left of n: not 0 if there were fewer allocations */
		if (atoi(buf))
			break;
		if (ret) {
			failures++;
			ASSERT_FALSE(is_bound(HIGH)) TH_LOG("allocation %d", n);
		} else {
			ASSERT_EQ(0, unbind_driver(HIGH));
		}
		ASSERT_FALSE(is_claimed(HIGH, NULL)) TH_LOG("allocation %d", n);
		ASSERT_FALSE(is_mapped(bar_start(HIGH))) TH_LOG("allocation %d", n);
		ASSERT_EQ(0, enable_count(HIGH)) TH_LOG("allocation %d", n);
	}
	EXPECT_EQ(0, ret);
	EXPECT_TRUE(is_bound(HIGH));
	EXPECT_GT(failures, 0);
	TH_LOG("%d allocations, of which %d made bind fail", n - 1, failures);
}

/* What users saw */
struct outcomes {
	bool stop;
	unsigned int right, gone, sigbus, wrong;
	unsigned int touches;	/* of a mapping */
};

/* Missing or dying: what a user may be told while the driver comes and goes */
static bool is_gone(int err)
{
	return err == ENOENT || err == ENODEV;
}

static int open_shmem(struct outcomes *seen)
{
	int fd = open(dev_path(HIGH, "shmem"), O_RDWR);

	if (fd < 0) {
		__atomic_fetch_add(is_gone(errno) ? &seen->gone : &seen->wrong, 1, __ATOMIC_RELAXED);
		sched_yield();
	}
	return fd;
}

static bool right_data(const void *buf)
{
	uint64_t want[PATTERN_WORDS];

	pattern_fill(want, seed, 1);
	return !memcmp(buf, want, PAGE);
}

static void count_io(struct outcomes *seen, ssize_t ret, bool right)
{
	unsigned int *what = &seen->wrong;

	if (ret == PAGE && right)
		what = &seen->right;
	else if (ret < 0 && is_gone(-ret))
		what = &seen->gone;
	__atomic_fetch_add(what, 1, __ATOMIC_RELAXED);
}

static void reader(struct outcomes *seen)
{
	char buf[PAGE];
	ssize_t ret = 0;
	int fd = open_shmem(seen);

	for (; fd >= 0 && ret >= 0 && !seen->stop; count_io(seen, ret, right_data(buf)))
		ret = read_at(fd, buf, PAGE, PAGE);
	close(fd);
}

static void writer(struct outcomes *seen)
{
	char buf[PAGE];
	ssize_t ret = 0;
	int fd = open_shmem(seen);

	for (; fd >= 0 && ret >= 0 && !seen->stop; count_io(seen, ret, true))
		ret = write_at(fd, buf, PAGE, 2 * PAGE);
	close(fd);
}

/* Ends in a SIGBUS, so do it in a child. */
static void mapper(struct outcomes *seen)
{
	int fd, status = 0;
	char *map;

	if (!fork()) {
		fd = open_shmem(seen);
		if (fd < 0)
			_exit(0);
		/* In place of the last one each time, to have faults while the driver goes */
		for (map = NULL; !seen->stop;) {
			map = mmap(map, 3 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_SHARED | (map ? MAP_FIXED : 0), fd, 0);
			if (map == MAP_FAILED) {
				count_io(seen, -errno, false);
				_exit(0);
			}
			count_io(seen, PAGE, right_data(map + PAGE));
			__atomic_fetch_add(&seen->touches, 1, __ATOMIC_RELAXED);
			map[2 * PAGE]++;
		}
		_exit(0);
	}
	wait(&status);
	if (status)
		__atomic_fetch_add(status == SIGBUS ? &seen->sigbus : &seen->wrong, 1,
				   __ATOMIC_RELAXED);
}

static void sysfs_reader(struct outcomes *seen)
{
	static const char * const files[] = { "enable", "resource", "modalias", "uevent" };
	char buf[1024];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		if (slurp(dev_path(HIGH, files[i]), buf, sizeof(buf)) < 0)
			__atomic_fetch_add(&seen->wrong, 1, __ATOMIC_RELAXED);
	is_bound(HIGH);
	is_claimed(HIGH, NULL);
}

TEST_F_TIMEOUT(driver, unbound_under_load, 24 * 3600)
{
	void (*const work[])(struct outcomes *) = { reader, writer, mapper, mapper, sysfs_reader };
	struct outcomes *seen;
	uint64_t page[PATTERN_WORDS];
	unsigned long n;
	unsigned int i, touches;
	int fd;

	seen = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, seen);
	fd = open(dev_path(HIGH, "shmem"), O_RDWR);
	ASSERT_GE(fd, 0);
	pattern_fill(page, seed, 1);
	ASSERT_EQ(PAGE, write_at(fd, page, PAGE, PAGE));
	close(fd);

	for (i = 0; i < ARRAY_SIZE(work); i++) {
		if (fork())
			continue;
		/* The one that unbinds must get its turn */
		syscall(__NR_setpriority, 0, 0, 19);
		while (!seen->stop)
			work[i](seen);
		_exit(0);
	}

	for (n = 0; n < rounds; n++) {
		progress(n, rounds);
		EXPECT_EQ(0, unbind_driver(HIGH));
		EXPECT_EQ(0, enable_count(HIGH));
		EXPECT_FALSE(is_claimed(HIGH, NULL));
		ASSERT_EQ(0, bind_driver(HIGH)) TH_LOG("round %lu", n);
		/* Have a mapping in use at the next unbind */
		touches = __atomic_load_n(&seen->touches, __ATOMIC_RELAXED);
		for (i = 0; i < 5000; i++) {
			if (__atomic_load_n(&seen->touches, __ATOMIC_RELAXED) != touches)
				break;
			usleep(1000);
		}
	}
	seen->stop = true;
	for (i = 0; i < ARRAY_SIZE(work); i++)
		wait(NULL);

	TH_LOG("%lu rounds: %u right, %u gone, %u SIGBUS, %u wrong", n,
	       seen->right, seen->gone, seen->sigbus, seen->wrong);
	EXPECT_EQ(0, seen->wrong);
	EXPECT_GT(seen->right, 0);
	EXPECT_GT(seen->gone, 0);
	EXPECT_GT(seen->sigbus, 0);
	EXPECT_TRUE(is_claimed(HIGH, DRIVER));
	EXPECT_EQ(1, enable_count(HIGH));
}

/* Last, so that it sees what the others left */
TEST_F(driver, no_leaks)
{
	ASSERT_EQ(0, unbind_driver(HIGH));
	ASSERT_EQ(0, rmmod(DRIVER));
	EXPECT_NO_LEAKS();
}
