// SPDX-License-Identifier: GPL-2.0
/*
 * Hot-unplug and hot-add of an ivshmem device while its memory is in use.
 *
 * The host, host/hotplug.py, gives every device it adds a new memory, filled
 * with a pattern that depends on the generation: 1 for the first device, and so
 * on.  Whoever opens the attribute must see one generation from then on, and
 * that only until the device goes: a mapping or a file that lives on would show
 * no memory, or the next generation.
 */

#include "one_device.h"

#include <sched.h>

/* Also in host/hotplug.py: what the pages are for.  The host fills those for reading. */
#define READ_PAGES	32
#define WRITE_PAGE	32	/* filled with write(), READ_PAGES of them */
#define MAP_PAGE(i)	(64 + (i))	/* by memory access of a worker */
#define SIZE		(128 * PAGE)

enum outcome { RIGHT, NODEV, BUS, NOENT, OTHER, OUTCOMES };

static const char * const outcome_names[] = { "right", "ENODEV", "SIGBUS", "ENOENT", "other" };

static void reader(void);
static void writer(void);
static void mapper(void);
static void holder(void);
static void sysfs_reader(void);

static const struct {
	const char *name;
	void (*use)(void);
} workers[] = {
	{ "reader", reader }, { "reader", reader }, { "writer", writer },
	{ "mapper", mapper }, { "holder", holder }, { "sysfs reader", sysfs_reader },
};

#define WORKERS		ARRAY_SIZE(workers)
#define MAPPER		3
#define HOLDER		4

/* Between all processes */
static struct {
	uint64_t gen;	/* the newest generation the host was asked for */
	bool stop;
	unsigned int seen[WORKERS][OUTCOMES];
} *shared;

static unsigned int me;

static uint64_t newest(void)
{
	return __atomic_load_n(&shared->gen, __ATOMIC_SEQ_CST);
}

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_SEQ_CST);
}

static unsigned int seen(unsigned int worker, enum outcome what)
{
	return __atomic_load_n(&shared->seen[worker][what], __ATOMIC_SEQ_CST);
}

static void saw(enum outcome what)
{
	__atomic_add_fetch(&shared->seen[me][what], 1, __ATOMIC_SEQ_CST);
}

/* The first few are printed. */
static void saw_other(const char *what, long val)
{
	saw(OTHER);
	if (seen(me, OTHER) <= 3)
		say("# %s saw %s %ld\n", workers[me].name, what, val);
}

static void saw_error(const char *what, long err)
{
	if (err == -ENODEV)
		saw(NODEV);
	else if (err == -ENOENT)
		saw(NOENT);
	else
		saw_other(what, err);
}

/* The generation is in the clear in the first word. */
static void fill(uint64_t *buf, uint64_t gen, uint64_t page)
{
	pattern_fill(buf, seed ^ gen, page);
	buf[0] = htole64(gen);
}

/* @gen is what was seen before, or 0; @from, the oldest that it may be. */
static bool is_right(const uint64_t *buf, uint64_t page, uint64_t from, uint64_t *gen)
{
	uint64_t want[PATTERN_WORDS];

	if (!*gen && le64toh(buf[0]) >= from && le64toh(buf[0]) <= newest())
		*gen = le64toh(buf[0]);
	fill(want, *gen, page);
	if (*gen && !memcmp(buf, want, PAGE)) {
		saw(RIGHT);
		return true;
	}
	saw_other("a wrong page, starting with", buf[0]);
	return false;
}

static int open_counted(void)
{
	int fd = open_shmem();

	if (fd < 0) {
		saw_error("open", fd);
		usleep(1000);
	}
	return fd;
}

static void reader(void)
{
	uint64_t buf[PATTERN_WORDS], gen = 0, from = newest();
	int fd = open_counted();
	ssize_t n;

	if (fd < 0)
		return;
	for (unsigned int i = 0; !stopped(); i++) {
		n = read_at(fd, buf, PAGE, i % READ_PAGES * PAGE);
		if (n != PAGE) {
			saw_error("read", n);
			break;
		}
		if (!is_right(buf, i % READ_PAGES, from, &gen))
			break;
	}
	close(fd);
}

static void writer(void)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS], gen;
	int fd = open_counted();
	ssize_t n;

	if (fd < 0)
		return;
	n = read_at(fd, &gen, sizeof(gen), 0);
	gen = le64toh(gen);
	for (unsigned int i = 0; n > 0 && !stopped(); i++) {
		uint64_t page = WRITE_PAGE + i % READ_PAGES;

		fill(want, gen, page);
		n = write_at(fd, want, PAGE, page * PAGE);
		if (n == PAGE)
			n = read_at(fd, have, PAGE, page * PAGE);
		if (n != PAGE)
			break;
		if (!memcmp(have, want, PAGE)) {
			saw(RIGHT);
		} else {
			saw_other("something else than it wrote, starting with", have[0]);
			break;
		}
	}
	if (n != PAGE && !stopped())
		saw_error("read or write", n);
	close(fd);
}

/*
 * Ends with SIGBUS when the device goes.  The mapping that is still in use then
 * is the last that could be had, made while the device was already going.
 */
static void use_map(int fd, uint64_t from, bool remap)
{
	char *map = map_shmem(fd, SIZE), *next;
	uint64_t buf[PATTERN_WORDS], gen = 0;

	if (map == MAP_FAILED) {
		saw_error("mmap", -errno);
		_exit(0);
	}
	for (unsigned int i = 0; !stopped(); i++) {
		memcpy(buf, map + i % READ_PAGES * PAGE, PAGE);
		if (!is_right(buf, i % READ_PAGES, from, &gen))
			break;
		fill(buf, gen, MAP_PAGE(me));
		memcpy(map + MAP_PAGE(me) * PAGE, buf, PAGE);
		if (!remap)
			continue;
		next = map_shmem(fd, SIZE);
		if (next == MAP_FAILED) {
			saw_error("mmap", -errno);
			remap = false;
			continue;
		}
		munmap(map, SIZE);
		map = next;
	}
	_exit(0);
}

static void map_in_child(bool remap)
{
	uint64_t from = newest();
	int fd = open_counted(), status = 0;
	pid_t pid;

	if (fd < 0)
		return;
	pid = fork();
	if (!pid)
		use_map(fd, from, remap);
	close(fd);
	if (waitpid(pid, &status, 0) != pid)
		saw_other("no child", pid);
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS)
		saw(BUS);
	else if (status)
		saw_other("child with status", status);
}

static void mapper(void)
{
	map_in_child(true);
}

static void holder(void)
{
	map_in_child(false);
}

static void look_at(const char *file, const char *want, ssize_t len)
{
	int fd = open(dev_path(DEV, file), O_RDONLY);
	char buf[16];
	ssize_t n;

	if (fd < 0) {
		saw_error(file, -errno);
		return;
	}
	n = read_at(fd, buf, sizeof(buf), 0);
	if (n < 0)
		saw_error(file, n);
	else if (n >= len && !memcmp(buf, want, len))
		saw(RIGHT);
	else
		saw_other(file, n);
	close(fd);
}

static void sysfs_reader(void)
{
	struct stat st;

	look_at("vendor", "0x1af4\n", 7);
	look_at("config", "\xf4\x1a\x10\x11", 4);
	look_at("resource", "0x", 2);
	look_at("enable", "", 0);
	if (stat(dev_path(DEV, "shmem"), &st))
		saw_error("stat", -errno);
	else if (st.st_size == SIZE)
		saw(RIGHT);
	else
		saw_other("a size of", st.st_size);
}

static void start_workers(pid_t *pids)
{
	for (me = 0; me < WORKERS; me++) {
		pids[me] = fork();
		if (pids[me])
			continue;
		/* The kernel's threads that add and remove the device come first. */
		syscall(__NR_setpriority, 0, 0, 10);
		while (!stopped())
			workers[me].use();
		_exit(0);
	}
}

static void stop_workers(const pid_t *pids)
{
	int status;

	__atomic_store_n(&shared->stop, true, __ATOMIC_SEQ_CST);
	for (int i = 0; i < WORKERS; i++)
		waitpid(pids[i], &status, 0);
}

/* Has each worker seen right data since @before was taken? */
static bool all_in_use(const unsigned int *before)
{
	for (int i = 0; i < WORKERS; i++)
		if (seen(i, RIGHT) == before[i])
			return false;
	return true;
}

static bool wait_for_use(void)
{
	uint64_t end = now_ms() + 120000 * SLOW;
	unsigned int before[WORKERS];

	for (int i = 0; i < WORKERS; i++)
		before[i] = seen(i, RIGHT);
	while (!is_bound(DEV) || !all_in_use(before)) {
		if (now_ms() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static bool plug(void)
{
	return host_does("plug %lu", __atomic_add_fetch(&shared->gen, 1, __ATOMIC_SEQ_CST));
}

FIXTURE(hotplug) {
	pid_t pids[WORKERS];
};

FIXTURE_SETUP(hotplug)
{
	modprobe(DRIVER);	/* which fails if it is built in */
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	start_workers(self->pids);
}

FIXTURE_TEARDOWN(hotplug)
{
	stop_workers(self->pids);
}

/* The host notices if one of these takes too long. */
TEST_F_TIMEOUT(hotplug, under_use, 24 * 3600)
{
	struct stat st;
	uint64_t start;

	for (unsigned long i = 1; i <= rounds; i++) {
		progress(i, rounds);
		ASSERT_TRUE(plug());
		ASSERT_TRUE(wait_for_use()) TH_LOG("not in use, generation %lu", i);
		ASSERT_TRUE(is_claimed(DEV, DRIVER));
		start = bar_start(DEV);
		ASSERT_TRUE(is_mapped(start));

		usleep(pattern_word(seed, i) % 20000);
		ASSERT_TRUE(host_does("unplug %lu", i));
		ASSERT_EQ(-1, stat(dev_path(DEV, ""), &st));
		ASSERT_FALSE(in_iomem(DRIVER));
		ASSERT_FALSE(in_iomem(DEV));
		ASSERT_FALSE(is_mapped(start)) TH_LOG("still mapped");
	}
	ASSERT_TRUE(plug());
	ASSERT_TRUE(wait_for_use());
	stop_workers(self->pids);

	for (int i = 0; i < WORKERS; i++) {
		for (int j = 0; j < OUTCOMES; j++)
			say("%s %u %s", j ? "," : "# result:", seen(i, j), outcome_names[j]);
		say(": %s\n", workers[i].name);
		EXPECT_EQ(0, seen(i, OTHER));
		EXPECT_NE(0, seen(i, NODEV) + seen(i, BUS) + seen(i, NOENT));
	}
	/* Their mappings were in use when the device went, each time. */
	EXPECT_EQ(rounds, seen(MAPPER, BUS));
	EXPECT_EQ(rounds, seen(HOLDER, BUS));
}

/* The harness runs fixtures in the order they are defined in. */
FIXTURE(afterwards) { };
FIXTURE_SETUP(afterwards) { }
FIXTURE_TEARDOWN(afterwards) { }

TEST_F(afterwards, works)
{
	uint64_t buf[PATTERN_WORDS], want[PATTERN_WORDS];
	char *map;
	int fd;

	ASSERT_TRUE(is_bound(DEV));
	ASSERT_TRUE(is_claimed(DEV, DRIVER));
	ASSERT_EQ(1, enable_count(DEV));
	fd = open_shmem();
	ASSERT_GE(fd, 0);
	map = map_shmem(fd, SIZE);
	ASSERT_NE(MAP_FAILED, map);

	fill(want, rounds + 1, 0);
	ASSERT_EQ(PAGE, read_at(fd, buf, PAGE, 0));
	EXPECT_EQ(0, memcmp(buf, want, PAGE));
	fill(want, rounds + 1, WRITE_PAGE);
	memset(map + WRITE_PAGE * PAGE, 0, PAGE);
	ASSERT_EQ(PAGE, write_at(fd, want, PAGE, WRITE_PAGE * PAGE));
	EXPECT_EQ(0, memcmp(map + WRITE_PAGE * PAGE, want, PAGE));
	EXPECT_TRUE(host_does("look %lu", rounds + 1));
}

TEST_F(afterwards, no_leaks)
{
	EXPECT_NO_LEAKS();
}
