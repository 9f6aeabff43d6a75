// SPDX-License-Identifier: GPL-2.0
/*
 * What user space can and cannot do with the sample's memory, as its documentation says
 * under "What it cannot do".  A kernel that changes one of these fails here, so that the
 * documentation follows.
 */

#include "mapping.h"

#include <linux/futex.h>
#include <poll.h>

#define DOORBELL	"0000:00:08.0"

FIXTURE(limits) {
	uint64_t start;
	int fd;
	char *map;
};

FIXTURE_SETUP(limits)
{
	modprobe(DRIVER);	/* which fails if it is built in */
	self->start = bar_start(HIGH);
	self->fd = open(dev_path(HIGH, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(limits)
{
	munmap(self->map, 2 * PAGE);
	close(self->fd);
}

/* Functions behind the harness return -errno. */
static long error(long ret)
{
	return ret < 0 ? -errno : ret;
}

static long futex(void *word, int op, int val)
{
	return error(syscall(__NR_futex, word, op, val, NULL, NULL, 0));
}

/* Mutexes, semaphores, conditions and barriers that processes share, when they have to wait */
TEST_F(limits, no_shared_futex)
{
	int *word = (int *)self->map;

	*word = 0;
	EXPECT_EQ(-EFAULT, futex(word, FUTEX_WAIT, 1));
	EXPECT_EQ(-EFAULT, futex(word, FUTEX_WAKE, 1));
	EXPECT_EQ(-EFAULT, futex(word, FUTEX_LOCK_PI, 0));

	/* Those of one process need no page, and atomics nothing at all. */
	EXPECT_EQ(-EAGAIN, futex(word, FUTEX_WAIT_PRIVATE, 1));
	EXPECT_EQ(0, futex(word, FUTEX_WAKE_PRIVATE, 1));
	EXPECT_EQ(0, __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST));
	EXPECT_EQ(1, *word);
}

/* vmsplice() wants pages as O_DIRECT, RDMA and VFIO on untouched memory do. */
TEST_F(limits, no_pages)
{
	struct iovec vec = { self->map, PAGE };
	int ends[2];

	ASSERT_EQ(0, syscall(__NR_pipe2, ends, 0));
	EXPECT_EQ(-EFAULT, error(syscall(__NR_vmsplice, ends[1], &vec, 1, 0)));
	/* What copies does work. */
	EXPECT_EQ(64, write(ends[1], self->map, 64));
	EXPECT_EQ(64, read(ends[0], self->map, 64));
	close(ends[0]);
	close(ends[1]);
}

TEST_F(limits, a_page_at_a_time)
{
	static char buf[4 * PAGE];

	EXPECT_EQ(PAGE, read_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(PAGE, write_at(self->fd, buf, sizeof(buf), 0));
}

TEST_F(limits, append_is_ignored)
{
	int fd = open(dev_path(HIGH, "shmem"), O_RDWR | O_APPEND);

	ASSERT_GE(fd, 0);
	self->map[0] = 'a';
	EXPECT_EQ(1, write(fd, "b", 1));
	EXPECT_EQ('b', self->map[0]);
	close(fd);
}

/* Faults of touching a page of the mapping that @flags made, after mlock() if @lock */
static long faults_of(int fd, int flags, bool lock)
{
	volatile char *map = mmap(NULL, PAGE, RW, MAP_SHARED | flags, fd, 0);
	long before;

	if (map == MAP_FAILED || (lock && syscall(__NR_mlock, map, PAGE)))
		return -errno;
	before = faults();
	(void)*map;
	before = faults() - before;
	munmap((void *)map, PAGE);
	return before;
}

TEST_F(limits, nothing_is_filled_ahead)
{
	EXPECT_EQ(1, faults_of(self->fd, 0, false));
	EXPECT_EQ(1, faults_of(self->fd, MAP_POPULATE, false));
	EXPECT_EQ(1, faults_of(self->fd, 0, true));
}

/* Whoever comes first: x86 gives no two cache modes to the same memory. */

static int open_resource(const char *name)
{
	return open(dev_path(HIGH, name), O_RDWR);
}

TEST_F(limits, no_resource2_beside)
{
	static const char * const names[] = { "resource2", "resource2_wc" };
	int fd, i;

	if (access("/sys/kernel/debug/x86", F_OK))
		SKIP(return, "only x86 looks");
	for (i = 0; i < 2; i++) {
		fd = open_resource(names[i]);
		ASSERT_GE(fd, 0);
		EXPECT_EQ(-EINVAL, map_errno(fd, PAGE, MAP_SHARED, 0)) TH_LOG("%s", names[i]);
		close(fd);
	}
}

TEST_F(limits, resource2_before_decides)
{
	static const struct { const char *name, *mode; } cases[] = {
		{ "resource2", "uncached-minus" }, { "resource2_wc", "write-combining" },
	};
	char *map;
	int fd, i;

	if (access("/sys/kernel/debug/x86", F_OK))
		SKIP(return, "only x86 looks");
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(0, unbind_driver(HIGH));
		fd = open_resource(cases[i].name);
		ASSERT_GE(fd, 0);
		map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(0, bind_driver(HIGH));
		EXPECT_STREQ(cases[i].mode, cache_mode(self->start)) TH_LOG("%s", cases[i].name);
		munmap(map, PAGE);
		close(fd);
		EXPECT_STREQ(cases[i].mode, cache_mode(self->start)) TH_LOG("%s", cases[i].name);
	}
	ASSERT_EQ(0, unbind_driver(HIGH));
	ASSERT_EQ(0, bind_driver(HIGH));
	EXPECT_STREQ("write-back", cache_mode(self->start));
}

/* A file of sysfs is new with each binding. */
TEST_F(limits, permissions_are_gone)
{
	struct stat st;

	ASSERT_EQ(0, chmod(dev_path(HIGH, "shmem"), 0666));
	ASSERT_EQ(0, stat(dev_path(HIGH, "shmem"), &st));
	EXPECT_EQ(0666, st.st_mode & 0777);
	ASSERT_EQ(0, unbind_driver(HIGH));
	ASSERT_EQ(0, bind_driver(HIGH));
	ASSERT_EQ(0, stat(dev_path(HIGH, "shmem"), &st));
	EXPECT_EQ(0600, st.st_mode & 0777);
}

TEST_F(limits, driver_override)
{
	ASSERT_EQ(0, unbind_driver(HIGH));
	EXPECT_EQ(0, spew(dev_path(HIGH, "driver_override"), "vfio-pci"));
	EXPECT_EQ(-ENODEV, bind_driver(HIGH));
	EXPECT_EQ(0, spew(dev_path(HIGH, "driver_override"), "\n"));
	EXPECT_EQ(0, bind_driver(HIGH));
}

/* The same ID, and a second way to say that something has changed, which nobody listens to */
TEST_F(limits, no_interrupts)
{
	char text[16];

	ASSERT_TRUE(is_bound(DOORBELL));
	/* The table of its MSI-X vectors */
	EXPECT_EQ(0, access(dev_path(DOORBELL, "resource1"), F_OK));
	EXPECT_EQ(-ENOENT, slurp(dev_path(DOORBELL, "msi_irqs"), text, sizeof(text)));
	ASSERT_LT(0, slurp(dev_path(DOORBELL, "shmem"), text, sizeof(text)));
}

/* poll() of a file of sysfs says with POLLERR and POLLPRI that it has changed since it was read. */
static int polled(int fd, int ms)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };
	int ret = poll(&poll_fd, 1, ms);

	return ret > 0 ? poll_fd.revents : ret;
}

static bool sleeps(pid_t pid)
{
	char path[32], stat[256], *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (slurp(path, stat, sizeof(stat)) < 0)
		return false;
	state = strrchr(stat, ')');
	return state && state[2] == 'S';
}

/* Who asks after it is told at once, but who waits already is not. */
TEST_F(limits, poll_does_not_wake)
{
	volatile int *begins = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	char byte;

	ASSERT_NE(MAP_FAILED, (void *)begins);
	ASSERT_EQ(1, read_at(self->fd, &byte, 1, 0));
	EXPECT_EQ(0, polled(self->fd, 0));
	pid = fork();
	if (!pid) {
		*begins = 1;
		_exit(polled(self->fd, -1));
	}
	while (!*begins || !sleeps(pid))
		usleep(1000);
	ASSERT_EQ(0, unbind_driver(HIGH));
	EXPECT_EQ(POLLERR | POLLPRI, polled(self->fd, 0));
	usleep(300000);
	EXPECT_EQ(0, waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	munmap((void *)begins, PAGE);
	ASSERT_EQ(0, bind_driver(HIGH));
}

/* What debuggers do: /proc/PID/mem and ptrace() */

static int open_mem(void)
{
	return open("/proc/self/mem", O_RDWR);
}

TEST_F(limits, proc_mem)
{
	uint64_t val = 0x0123456789abcdef ^ seed, have = 0;
	char *end = self->map + 2 * PAGE, *second, buf[16];
	int mem = open_mem();

	ASSERT_GE(mem, 0);
	/* No page of it was touched yet. */
	EXPECT_EQ(8, write_at(mem, &val, 8, (uintptr_t)self->map + PAGE + 8));
	EXPECT_EQ(8, read_at(mem, &have, 8, (uintptr_t)self->map + PAGE + 8));
	EXPECT_EQ(val, have);
	EXPECT_EQ(val, *(uint64_t *)(self->map + PAGE + 8));
	EXPECT_EQ(8, read_at(self->fd, &have, 8, PAGE + 8));
	EXPECT_EQ(val, have);
	second = mmap(NULL, PAGE, RW, MAP_SHARED, self->fd, PAGE);
	ASSERT_NE(MAP_FAILED, second);
	EXPECT_EQ(8, read_at(mem, &have, 8, (uintptr_t)second + 8));
	EXPECT_EQ(val, have) TH_LOG("the mapping's offset");
	munmap(second, PAGE);

	/* Across its end, where there is nothing */
	ASSERT_EQ(0, munmap(end - PAGE, PAGE));
	EXPECT_EQ(8, read_at(mem, buf, sizeof(buf), (uintptr_t)end - PAGE - 8));
	EXPECT_EQ(8, write_at(mem, buf, sizeof(buf), (uintptr_t)end - PAGE - 8));
	close(mem);
}

/* A file that is open for reading must not be written to in this way. */
TEST_F(limits, proc_mem_read_only)
{
	int fd = open(dev_path(HIGH, "shmem"), O_RDONLY), mem = open_mem();
	char *map, buf[8] = "";

	ASSERT_GE(fd, 0);
	ASSERT_GE(mem, 0);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	self->map[0] = 'a';
	EXPECT_EQ(-EIO, write_at(mem, "b", 1, (uintptr_t)map));
	EXPECT_EQ('a', self->map[0]);
	EXPECT_EQ(8, read_at(mem, buf, 8, (uintptr_t)map));
	EXPECT_EQ('a', buf[0]);
	munmap(map, PAGE);
	close(mem);
	close(fd);
}

TEST_F(limits, proc_mem_after_unbind)
{
	int mem = open_mem();
	char buf[8];

	ASSERT_GE(mem, 0);
	ASSERT_EQ(0, unbind_driver(HIGH));
	EXPECT_EQ(-EIO, read_at(mem, buf, 8, (uintptr_t)self->map));
	EXPECT_EQ(-EIO, write_at(mem, buf, 8, (uintptr_t)self->map));
	ASSERT_EQ(0, bind_driver(HIGH));
	EXPECT_EQ(-EIO, read_at(mem, buf, 8, (uintptr_t)self->map));
	close(mem);
}

TEST_F(limits, ptrace)
{
	volatile long *word = (long *)self->map + 3;
	long have = 0;
	int status;
	pid_t pid;

	*word = 42;
	pid = fork();
	if (!pid) {
		syscall(__NR_ptrace, PTRACE_TRACEME, 0, 0, 0);
		kill(getpid(), SIGSTOP);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, syscall(__NR_ptrace, PTRACE_PEEKDATA, pid, word, &have));
	EXPECT_EQ(42, have);
	EXPECT_EQ(0, syscall(__NR_ptrace, PTRACE_POKEDATA, pid, word, 43L));
	EXPECT_EQ(43, *word);
	EXPECT_EQ(0, syscall(__NR_ptrace, PTRACE_CONT, pid, 0, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
}

/* Aligned words: while one side writes nothing but zeroes and ones, the other sees no mixture. */

FIXTURE(tearing) {
	int fd, mem;
	char *map, *word;
};

FIXTURE_VARIANT(tearing) {
	size_t size;
};

FIXTURE_VARIANT_ADD(tearing, 2_bytes) { .size = 2 };
FIXTURE_VARIANT_ADD(tearing, 4_bytes) { .size = 4 };
#if __SIZEOF_LONG__ == 8
FIXTURE_VARIANT_ADD(tearing, 8_bytes) { .size = 8 };
#endif

#define WORD	0x40	/* its offset */

FIXTURE_SETUP(tearing)
{
	/* The host has no other processor run until then: see vm.py. */
	spew("/sys/devices/system/cpu/cpu1/online", "1");
	self->fd = open(dev_path(HIGH, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->mem = open_mem();
	ASSERT_GE(self->mem, 0);
	self->map = mmap(NULL, PAGE, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
	self->word = self->map + WORD;
	memset(self->word, 0, 8);
}

FIXTURE_TEARDOWN(tearing)
{
	munmap(self->map, PAGE);
	close(self->mem);
	close(self->fd);
}

static void store(char *word, size_t size, uint64_t val)
{
	switch (size) {
	case 2: __atomic_store_n((uint16_t *)word, val, __ATOMIC_RELAXED); break;
	case 4: __atomic_store_n((uint32_t *)word, val, __ATOMIC_RELAXED); break;
	case 8: __atomic_store_n((unsigned long *)word, val, __ATOMIC_RELAXED); break;
	}
}

static uint64_t load(char *word, size_t size)
{
	switch (size) {
	case 2: return __atomic_load_n((uint16_t *)word, __ATOMIC_RELAXED);
	case 4: return __atomic_load_n((uint32_t *)word, __ATOMIC_RELAXED);
	default: return __atomic_load_n((unsigned long *)word, __ATOMIC_RELAXED);
	}
}

static bool torn(uint64_t val, size_t size)
{
	return val && val != ~0ULL >> (64 - 8 * size);
}

/*
 * What was torn of what read_at() of @fd got while a child stored, or with @write, of what was
 * loaded while a child wrote to @fd
 */
static unsigned long count_torn(int fd, int64_t off, char *word, size_t size, bool write)
{
	unsigned long bad = 0, ones = 0;
	uint64_t val, begin = now_ms();
	pid_t pid = fork();

	for (val = 0; !pid; val = ~val) {
		if (write)
			write_at(fd, &val, size, off);
		else
			store(word, size, val);
	}
	while (now_ms() - begin < 1500) {
		val = write ? load(word, size) : 0;
		if (!write && read_at(fd, &val, size, off) != (ssize_t)size)
			abort();
		bad += torn(write ? val : le64toh(val), size);
		ones += val != 0;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return ones ? bad : -1UL;
}

TEST_F(tearing, read)
{
	EXPECT_EQ(0, count_torn(self->fd, WORD, self->word, variant->size, false));
}

TEST_F(tearing, write)
{
	EXPECT_EQ(0, count_torn(self->fd, WORD, self->word, variant->size, true));
}

TEST_F(tearing, proc_mem_read)
{
	EXPECT_EQ(0, count_torn(self->mem, (uintptr_t)self->word, self->word, variant->size, false));
}

TEST_F(tearing, proc_mem_write)
{
	EXPECT_EQ(0, count_torn(self->mem, (uintptr_t)self->word, self->word, variant->size, true));
}
