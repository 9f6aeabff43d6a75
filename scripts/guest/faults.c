// SPDX-License-Identifier: GPL-2.0
/*
 * Mappings of the sample's memory: in which pieces they are filled, what mm does to
 * the pieces, and what is left of them when the driver is gone.  In a kernel
 * without huge pages all pieces are pages, and the same must hold.
 */

#include "leaves.h"

#include <sys/prctl.h>

/* Where host/tests.py puts two more devices, for this program only */
#define ONE_PAGE	"0000:00:08.0"	/* BAR 2 is 4 KiB */
#define ONE_MIB		"0000:00:09.0"	/* BAR 2 is 1 MiB */

/*
 * How many of @n pieces fault again when they are written after they were read: all on
 * the guest's Cortex-A72, which leaves it to the kernel to set dirty bits.
 */
#ifdef __aarch64__
#define WRITE_FAULTS(n)	(n)
#else
#define WRITE_FAULTS(n)	0
#endif

/* The largest piece that this kernel inserts: the host knows if it has 1 GiB leaves */
static size_t largest_piece(void)
{
	if (getenv("LEAVES"))
		return PUD;
	return access("/sys/kernel/mm/transparent_hugepage", F_OK) ? PAGE : PMD;
}

/* How many faults it takes to read, or write, a word every @step bytes */
static long faults_of(volatile uint64_t *map, size_t len, size_t step, bool write)
{
	long before = faults();
	size_t i;

	for (i = 0; i < len / sizeof(*map); i += step / sizeof(*map)) {
		if (write)
			map[i] = i;
		else
			(void)map[i];
	}
	return faults() - before;
}

/* The signal that writing to @p raised, in a child */
static int touch_write(volatile char *p)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		*p = *p;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status & 0x7f;
}

/* Put into the memory, with write(), what tells each place in it from all others. */
static uint64_t mark(int fd, uint64_t off)
{
	uint64_t val = pattern_word(seed, off);

	return write_at(fd, &val, sizeof(val), off) == sizeof(val) ? val : ~val;
}

static bool is_at(const char *p, uint64_t val)
{
	return *(volatile uint64_t *)p == val;
}

static uint64_t word_at(int fd, uint64_t off)
{
	uint64_t val = 0;

	return read_at(fd, &val, sizeof(val), off) == sizeof(val) ? val : 0;
}

/* Each of the two large devices, mapped as the largest pieces would have it */

FIXTURE(faults) {
	size_t len, align;	/* of the BAR; the largest leaf that could be in it */
	size_t piece;		/* what is really inserted, if it is aligned */
	int fd;
	char *map;
};

FIXTURE_VARIANT(faults) {
	const char *dev;
	size_t align;
};

FIXTURE_VARIANT_ADD(faults, below_4g) { .dev = LOW, .align = PMD };
FIXTURE_VARIANT_ADD(faults, above_4g) { .dev = HIGH, .align = PUD };

FIXTURE_SETUP(faults)
{
	if (!is_bound(variant->dev))
		ASSERT_EQ(0, modprobe(DRIVER));
	ASSERT_TRUE(is_bound(variant->dev));
	self->len = bar_size(variant->dev);
	self->align = variant->align;
	if (self->len < self->align)
		self->align = PMD;
	self->piece = largest_piece() < self->align ? largest_piece() : self->align;
	self->fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = map_at(self->fd, self->len, RW, 0, self->align, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(faults)
{
	munmap(self->map, self->len);
	close(self->fd);
}

/*
 * A fault for each of the largest pieces, be it a read or a write.  Of 64 MiB all
 * pages are touched, of more one in 512.
 */
TEST_F(faults, one_for_each_piece)
{
	const size_t step = self->len <= 64 * MIB ? PAGE : PMD;
	const long want = self->len / (self->piece > step ? self->piece : step);
	char *map;

	EXPECT_EQ(want, faults_of((uint64_t *)self->map, self->len, step, false));
	EXPECT_EQ(0, faults_of((uint64_t *)self->map, self->len, step, false));
	EXPECT_EQ(WRITE_FAULTS(want), faults_of((uint64_t *)self->map, self->len, step, true))
		TH_LOG("written after it was read");
	map = map_at(self->fd, self->len, RW, 0, self->align, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(want, faults_of((uint64_t *)map, self->len, step, true));
	EXPECT_EQ(0, faults_of((uint64_t *)map, self->len, step, false));
	munmap(map, self->len);
	TH_LOG("%lu MiB in %ld faults", self->len / MIB, want);
}

/* A program that leaves the choice of an address to the kernel */
TEST_F(faults, address_by_kernel)
{
	const size_t len = 16 * PMD, piece = self->piece < PMD ? self->piece : PMD;
	char *map = mmap(NULL, len, RW, MAP_SHARED, self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(len / piece, faults_of((uint64_t *)map, len, PAGE, false));
	munmap(map, len);
	/* Aligned to the file, not to the start of the mapping */
	map = mmap(NULL, len, RW, MAP_SHARED, self->fd, 3 * PAGE);
	ASSERT_NE(MAP_FAILED, map);
	if (piece == PMD)
		EXPECT_EQ(512 - 3 + 15 + 3, faults_of((uint64_t *)map, len, PAGE, false));
	munmap(map, len);
	/* Too short for a large piece */
	map = mmap(NULL, PMD - PAGE, RW, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(511, faults_of((uint64_t *)map, PMD - PAGE, PAGE, false));
	munmap(map, PMD - PAGE);
}

/* Pages where the address, the offset or the ends are not aligned, and right ones. */
TEST_F(faults, unaligned)
{
	const struct {
		size_t off, len, shift;
		long pages, large;
	} maps[] = {
		{ 0, 2 * PMD, PAGE, 1024, 0 },			/* address */
		{ PAGE, 2 * PMD, 0, 1024, 0 },			/* offset */
		{ PMD - PAGE, 2 * PMD + 2 * PAGE, PMD - PAGE, 2, 2 },	/* one page more */
		{ PMD, PMD - PAGE, PMD, 511, 0 },		/* one page less */
		{ 2 * PMD, PMD + PAGE, 0, 1, 1 },
		{ 3 * PMD, 2 * PMD, PMD, 0, 2 },	/* each aligned, PUD not */
	};
	unsigned int i;
	size_t pos;
	long want;
	char *map;

	for (i = 0; i < ARRAY_SIZE(maps); i++) {
		for (pos = 0; pos < maps[i].len; pos += PAGE)
			mark(self->fd, maps[i].off + pos);
		map = map_at(self->fd, maps[i].len, RW, maps[i].off, PUD, maps[i].shift);
		ASSERT_NE(MAP_FAILED, map);
		want = self->piece == PAGE ? maps[i].len / PAGE : maps[i].pages + maps[i].large;
		EXPECT_EQ(want, faults_of((uint64_t *)map, maps[i].len, PAGE, false))
			TH_LOG("mapping %u", i);
		for (pos = 0; pos < maps[i].len; pos += PAGE)
			ASSERT_TRUE(is_at(map + pos, pattern_word(seed, maps[i].off + pos)))
				TH_LOG("mapping %u at %#lx", i, (long)pos);
		EXPECT_EQ(SIGSEGV, touch(map + maps[i].len));
		munmap(map, maps[i].len);
	}
}

/* What would be large if the process had not asked for small pages */
TEST_F(faults, fallback)
{
	const long want = 2 * PMD / PAGE;
	int status;
	pid_t pid = fork();

	if (!pid) {
		if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) && self->piece != PAGE)
			_exit(1);
		_exit(faults_of((uint64_t *)self->map, 2 * PMD, PAGE, false) != want);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Cut holes of one page, half a piece and whole pieces; the rest stays what it is. */
TEST_F(faults, munmap_part)
{
	const size_t p = self->align;
	const struct {
		size_t off, len;
	} holes[] = {
		{ PMD + 5 * PAGE, PAGE }, { p - PAGE, 2 * PAGE }, { 2 * p, p / 2 },
		{ p + 3 * PMD, PMD }, { 0, PAGE }, { self->len - PAGE, PAGE },
	};
	const uint64_t last = mark(self->fd, self->len - 2 * PAGE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		uint64_t a = holes[i].off, z = a + holes[i].len;
		uint64_t before = a ? mark(self->fd, a - 8) : 0;
		uint64_t after = z < self->len ? mark(self->fd, z) : 0;

		if (z > self->len)
			continue;
		EXPECT_EQ(0, touch(self->map + a));
		if (a)
			(void)*(volatile char *)(self->map + a - 8);
		(void)*(volatile char *)(self->map + a);
		ASSERT_EQ(0, munmap(self->map + a, holes[i].len));
		EXPECT_EQ(SIGSEGV, touch(self->map + a));
		EXPECT_EQ(SIGSEGV, touch(self->map + z - 1));
		if (a)
			EXPECT_TRUE(is_at(self->map + a - 8, before)) TH_LOG("hole %u", i);
		if (z < self->len)
			EXPECT_TRUE(is_at(self->map + z, after)) TH_LOG("hole %u", i);
	}
	EXPECT_TRUE(is_at(self->map + self->len - 2 * PAGE, last));
	/* Filled again, it is not one mapping with its neighbours for sure, but right. */
	mark(self->fd, PMD + 5 * PAGE);
	ASSERT_NE(MAP_FAILED, mmap(self->map + PMD + 5 * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED,
				   self->fd, PMD + 5 * PAGE));
	EXPECT_TRUE(is_at(self->map + PMD + 5 * PAGE, pattern_word(seed, PMD + 5 * PAGE)));
}

TEST_F(faults, map_fixed_over_part)
{
	const size_t hole = PMD + PMD / 2;
	char *p = self->map + hole;
	uint64_t here = mark(self->fd, hole), other = mark(self->fd, 4 * PMD);
	uint64_t before = mark(self->fd, hole - 8), after = mark(self->fd, hole + 4 * PAGE);

	EXPECT_TRUE(is_at(p, here));
	ASSERT_EQ(p, mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_TRUE(is_at(p, 0));
	memset(p, 0xaa, 4 * PAGE);
	EXPECT_EQ(here, word_at(self->fd, hole));
	EXPECT_TRUE(is_at(p - 8, before));
	EXPECT_TRUE(is_at(p + 4 * PAGE, after));
	/* Another part of the same memory, and the one that belongs there */
	ASSERT_EQ(p, mmap(p, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, self->fd, 4 * PMD));
	EXPECT_TRUE(is_at(p, other));
	ASSERT_EQ(p, mmap(p, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, self->fd, hole));
	EXPECT_TRUE(is_at(p, here));
}

TEST_F(faults, mprotect)
{
	const size_t off = PMD + 16 * PAGE, len = 4 * PAGE;
	uint64_t val = mark(self->fd, off);
	char *p = self->map + off, *whole = self->map + 5 * PMD;

	EXPECT_TRUE(is_at(p, val));
	self->map[PMD] = 1;
	ASSERT_EQ(0, syscall(__NR_mprotect, p, len, PROT_READ));
	EXPECT_EQ(0, touch(p));
	EXPECT_EQ(SIGSEGV, touch_write(p));
	EXPECT_EQ(SIGSEGV, touch_write(p + len - 1));
	EXPECT_EQ(-EFAULT, read_at(self->fd, p, sizeof(val), off)) TH_LOG("by the kernel");
	EXPECT_EQ(0, touch_write(p - 1));
	EXPECT_EQ(0, touch_write(p + len));
	EXPECT_TRUE(is_at(p, val));
	ASSERT_EQ(0, syscall(__NR_mprotect, p, len, PROT_NONE));
	EXPECT_EQ(SIGSEGV, touch(p));
	ASSERT_EQ(0, syscall(__NR_mprotect, p, len, RW));
	*(uint64_t *)p = ~val;
	EXPECT_EQ(~val, word_at(self->fd, off));

	/* All of it at once, which leaves whole the pieces that are */
	*whole = 1;
	ASSERT_EQ(0, syscall(__NR_mprotect, self->map, self->len, PROT_READ));
	EXPECT_EQ(SIGSEGV, touch_write(p));
	EXPECT_EQ(SIGSEGV, touch_write(self->map + self->len - 1));
	EXPECT_EQ(SIGSEGV, touch_write(whole));
	EXPECT_EQ(-EFAULT, read_at(self->fd, whole, sizeof(val), off)) TH_LOG("by the kernel");
	EXPECT_TRUE(is_at(p, ~val));
	ASSERT_EQ(0, syscall(__NR_mprotect, self->map, self->len, RW));
	*(uint64_t *)p = val;
	EXPECT_EQ(val, word_at(self->fd, off));
}

TEST_F(faults, read_only_then_write)
{
	uint64_t val = mark(self->fd, PMD);
	char *map = map_at(self->fd, self->len, PROT_READ, 0, self->align, 0);
	int fd;

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_at(map + PMD, val));
	EXPECT_EQ(SIGSEGV, touch_write(map + PMD));
	ASSERT_EQ(0, syscall(__NR_mprotect, map, self->len, RW));
	*(uint64_t *)(map + PMD) = ~val;
	EXPECT_EQ(~val, word_at(self->fd, PMD));
	munmap(map, self->len);

	/* Not to be had through a file that is open for reading only */
	fd = open(dev_path(variant->dev, "shmem"), O_RDONLY);
	ASSERT_GE(fd, 0);
	map = map_at(fd, self->len, PROT_READ, 0, self->align, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_at(map + PMD, ~val));
	EXPECT_EQ(-1, syscall(__NR_mprotect, map, self->len, RW));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(SIGSEGV, touch_write(map + PMD));
	munmap(map, self->len);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PMD, RW, MAP_SHARED, fd, 0));
	EXPECT_EQ(EACCES, errno);
	/* A private one could be made writable */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PMD, PROT_READ, MAP_PRIVATE, fd, 0));
	EXPECT_EQ(EINVAL, errno);
	close(fd);
}

TEST_F(faults, mremap)
{
	const size_t len = 4 * PMD, p = 2 * PMD;
	uint64_t val = mark(self->fd, p + 8), first = mark(self->fd, 8);
	char *old, *new, *room;
	unsigned int i;

	/* To where a large piece fits, and to where none does */
	for (i = 0; i < 2; i++) {
		room = map_at(self->fd, len + PMD, PROT_NONE, 0, PMD, 0);
		ASSERT_NE(MAP_FAILED, room);
		old = map_at(self->fd, len, RW, 0, PMD, 0);
		ASSERT_NE(MAP_FAILED, old);
		EXPECT_TRUE(is_at(old + p + 8, val));
		EXPECT_TRUE(is_at(old + 8, first));
		new = mremap(old, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, room + i * PAGE);
		ASSERT_EQ(room + i * PAGE, new);
		EXPECT_EQ(SIGSEGV, touch(old));
		EXPECT_TRUE(is_at(new + p + 8, val));
		EXPECT_TRUE(is_at(new + 8, first));
		*(uint64_t *)(new + p + 8) = val + i;
		EXPECT_EQ(val + i, word_at(self->fd, p + 8));
		mark(self->fd, p + 8);
		/* Part of it, out of a large piece; back; shrunk to a part of a piece */
		ASSERT_EQ(old, mremap(new + p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, old));
		EXPECT_TRUE(is_at(old + 8, val));
		EXPECT_EQ(SIGSEGV, touch(new + p));
		EXPECT_TRUE(is_at(new + 8, first));
		ASSERT_EQ(new, mremap(new, p, PMD + PAGE, 0, NULL));
		EXPECT_TRUE(is_at(new + 8, first));
		EXPECT_EQ(SIGSEGV, touch(new + PMD + PAGE));
		EXPECT_EQ(MAP_FAILED, mremap(new, PMD, 2 * PMD, MREMAP_MAYMOVE, NULL));
		munmap(old, PAGE);
		munmap(room, len + PMD);
	}
}

/* A child has the same memory; what it does to its mapping is no business of ours. */
TEST_F(faults, fork)
{
	uint64_t val = mark(self->fd, PMD), other = mark(self->fd, 3 * PMD);
	int status;
	pid_t pid;

	EXPECT_TRUE(is_at(self->map + PMD, val));
	pid = fork();
	if (!pid) {
		long before = faults();

		if (!is_at(self->map + PMD, val) || !is_at(self->map + 3 * PMD, other))
			_exit(1);
		*(uint64_t *)(self->map + PMD) = ~val;
		if (self->piece >= PMD && faults() - before > 3)
			_exit(2);
		munmap(self->map + PMD + PAGE, PAGE);
		if (syscall(__NR_mprotect, self->map + 3 * PMD, PAGE, PROT_READ))
			_exit(3);
		if (!is_at(self->map + PMD, ~val) || !is_at(self->map + 3 * PMD, other))
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_TRUE(is_at(self->map + PMD, ~val));
	*(uint64_t *)(self->map + 3 * PMD) = 1;
	EXPECT_EQ(0, touch(self->map + PMD + PAGE));
}

/* Nobody gets hold of the pages: there are none. */
TEST_F(faults, no_pages_to_be_had)
{
	char buf[64];
	struct iovec to = { buf, sizeof(buf) }, from = { self->map + PMD, sizeof(buf) };
	pid_t pid = getpid();
	int pipes[2], mem;

	EXPECT_EQ(0, touch_write(self->map + PMD));
	self->map[PMD] = 1;
	EXPECT_EQ(-1, syscall(__NR_process_vm_readv, pid, &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, syscall(__NR_process_vm_writev, pid, &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	mem = open("/proc/self/mem", O_RDWR);
	ASSERT_GE(mem, 0);
	/* The driver copies for debuggers: more of that is in limits.c */
	EXPECT_EQ(sizeof(buf), read_at(mem, buf, sizeof(buf), (long)self->map + PMD));
	EXPECT_EQ(0, memcmp(self->map + PMD, buf, sizeof(buf)));
	EXPECT_EQ(sizeof(buf), write_at(mem, buf, sizeof(buf), (long)self->map + 11 * PMD));
	EXPECT_EQ(0, memcmp(self->map + 11 * PMD, buf, sizeof(buf)));
	close(mem);
	/* Pages for a pipe: get_user_pages_fast(), which sees leaves without a lock */
	ASSERT_EQ(0, pipe(pipes));
	EXPECT_EQ(-1, syscall(__NR_vmsplice, pipes[1], &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);
	/* A copy is another matter */
	EXPECT_EQ(sizeof(buf), write(pipes[1], self->map + PMD, sizeof(buf)));
	EXPECT_EQ(sizeof(buf), read(pipes[0], self->map + 3 * PMD, sizeof(buf)));
	EXPECT_EQ(0, memcmp(self->map + PMD, self->map + 3 * PMD, sizeof(buf)));
	close(pipes[0]);
	close(pipes[1]);
	/* also from and to the file that is mapped, to a piece not touched yet */
	mark(self->fd, 5 * PMD);
	EXPECT_EQ(PAGE, read_at(self->fd, self->map + 7 * PMD, PAGE, 5 * PMD));
	EXPECT_EQ(pattern_word(seed, 5 * PMD), word_at(self->fd, 7 * PMD));
	EXPECT_EQ(PAGE, write_at(self->fd, self->map + 5 * PMD, PAGE, 9 * PMD));
	EXPECT_TRUE(is_at(self->map + 9 * PMD, pattern_word(seed, 5 * PMD)));

	/* madvise() that would drop, fill or collapse pages */
	EXPECT_EQ(-1, syscall(__NR_madvise, self->map, PMD, MADV_DONTNEED));
	EXPECT_TRUE(errno == EINVAL || errno == ENOSYS);
	EXPECT_EQ(-1, syscall(__NR_madvise, self->map, PMD, 22 /* MADV_POPULATE_READ */));
	EXPECT_TRUE(errno == EINVAL || errno == ENOSYS);
	EXPECT_EQ(-1, syscall(__NR_madvise, self->map, PMD, 25 /* MADV_COLLAPSE */));
	EXPECT_TRUE(errno == EINVAL || errno == ENOSYS);
}

/* As without huge pages: a mapping without pages in use, that is not looked into. */
TEST_F(faults, proc_files)
{
	static char buf[1 << 16];
	static uint64_t entries[513];
	unsigned int i;
	char *entry;
	int fd;

	self->map[0] = 1;
	self->map[self->len - 1] = 1;
	must_slurp("/proc/self/smaps", buf, sizeof(buf));
	entry = strstr(buf, "/shmem\n");
	ASSERT_NE(NULL, entry);
	entry = strstr(entry, "\nRss:");
	ASSERT_NE(NULL, entry);
	EXPECT_EQ(0, strtoull(entry + strlen("\nRss:"), NULL, 10));
	entry = strstr(entry, "VmFlags:");
	ASSERT_NE(NULL, entry);
	*strchr(entry, '\n') = '\0';
	EXPECT_NE(NULL, strstr(entry, " sh ")) TH_LOG("%s", entry);
	EXPECT_NE(NULL, strstr(entry, " pf ")) TH_LOG("%s", entry);
	EXPECT_NE(NULL, strstr(entry, " io ")) TH_LOG("%s", entry);
	EXPECT_NE(NULL, strstr(entry, " dd ")) TH_LOG("%s", entry);

	fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(fd, 0);
	ASSERT_EQ(sizeof(entries), read_at(fd, entries, sizeof(entries), (long)self->map / PAGE * 8));
	close(fd);
	for (i = 0; i < ARRAY_SIZE(entries); i++)
		ASSERT_EQ(0, entries[i] & ~(1ULL << 55)) TH_LOG("page %u is there", i);
	/* Nothing of this has split the mapping, but smaps has a leaf of 1 GiB dropped. */
	EXPECT_EQ(self->piece == PUD,
		  faults_of((uint64_t *)self->map, PMD, self->piece == PAGE ? PMD : PAGE, true));
	/* Accessed and dirty bits cleared: writing must go on. */
	spew("/proc/self/clear_refs", "1");
	spew("/proc/self/clear_refs", "4");
	self->map[0] = 2;
	EXPECT_EQ(0, touch_write(self->map));
	self->map[self->len / 2] = 3;
	EXPECT_EQ(0, touch_write(self->map + self->len / 2));
}

/* In a child, which says when it is ready, and touches when it is told to. */
struct child {
	pid_t pid;
	int ready[2], go[2];
};

static bool start_child(struct child *child, char *map, size_t touched)
{
	char c = 0;

	if (pipe(child->ready) || pipe(child->go))
		return false;
	child->pid = fork();
	if (!child->pid) {
		close(child->go[1]);
		map[touched] = 1;
		write(child->ready[1], "", 1);
		read(child->go[0], &c, 1);
		_exit(map[touched]);
	}
	return read(child->ready[0], &c, 1) == 1;
}

static int end_child(struct child *child)
{
	int status = 0;

	write(child->go[1], "", 1);
	waitpid(child->pid, &status, 0);
	close(child->go[0]);
	close(child->go[1]);
	close(child->ready[0]);
	close(child->ready[1]);
	return status & 0x7f;
}

/* All kinds of mappings beside the fixture's, in use and not, in parts in use */
struct kinds {
	char *small, *part, *ro, *moved, *new;
};

static void map_kinds(struct __test_metadata *_metadata, const FIXTURE_DATA(faults) *self,
		      struct kinds *k, uint64_t val)
{
	const size_t half = PMD / 2;
	char *room;

	k->small = map_at(self->fd, 2 * PMD, RW, PMD, PMD, PAGE);
	k->part = map_at(self->fd, self->len, RW, 0, self->align, 0);
	k->ro = map_at(self->fd, self->len, PROT_READ, 0, self->align, 0);
	k->moved = map_at(self->fd, 2 * PMD, RW, PMD, PMD, 0);
	ASSERT_NE(MAP_FAILED, k->small);
	ASSERT_NE(MAP_FAILED, k->part);
	ASSERT_NE(MAP_FAILED, k->ro);
	ASSERT_NE(MAP_FAILED, k->moved);
	EXPECT_TRUE(is_at(self->map + PMD, val));
	EXPECT_TRUE(is_at(k->small, val));
	EXPECT_TRUE(is_at(k->ro + PMD, val));
	EXPECT_TRUE(is_at(k->part + PMD, val));
	munmap(k->part + half, PAGE);
	EXPECT_TRUE(is_at(k->part + PMD, val));
	EXPECT_EQ(0, touch(k->part + half - 1));
	EXPECT_TRUE(is_at(k->moved, val));
	room = map_at(self->fd, 2 * PMD, PROT_NONE, 0, PMD, 0);
	ASSERT_NE(MAP_FAILED, room);
	k->new = mremap(k->moved, 2 * PMD, 2 * PMD, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	ASSERT_EQ(room, k->new);
	EXPECT_TRUE(is_at(k->new, val));
}

static void expect_dead(struct __test_metadata *_metadata, const FIXTURE_DATA(faults) *self,
			const struct kinds *k)
{
	const size_t half = PMD / 2;

	EXPECT_EQ(SIGBUS, touch(self->map + PMD)) TH_LOG("touched");
	EXPECT_EQ(SIGBUS, touch_write(self->map + PMD)) TH_LOG("touched, for writing");
	EXPECT_EQ(SIGBUS, touch(self->map + PMD + PAGE)) TH_LOG("another page of the piece");
	EXPECT_EQ(SIGBUS, touch(self->map + self->len / 2)) TH_LOG("not touched");
	EXPECT_EQ(SIGBUS, touch(k->small)) TH_LOG("a page");
	EXPECT_EQ(SIGBUS, touch(k->small + PMD)) TH_LOG("a page not touched");
	EXPECT_EQ(SIGBUS, touch(k->part + PMD));
	EXPECT_EQ(SIGBUS, touch(k->part + half - 1));
	EXPECT_EQ(SIGBUS, touch(k->part + half + PAGE));
	EXPECT_EQ(SIGSEGV, touch(k->part + half));
	EXPECT_EQ(SIGBUS, touch(k->ro + PMD));
	EXPECT_EQ(SIGBUS, touch(k->new));
	/* A copy by the kernel says EFAULT */
	EXPECT_EQ(-EFAULT, read_at(open("/proc/self/status", O_RDONLY), self->map + PMD, 1, 0));
}

TEST_F(faults, unbind)
{
	const size_t len = self->len;
	struct kinds k;
	struct child child;
	uint64_t val = mark(self->fd, PMD);
	char *new;
	int fd;

	map_kinds(_metadata, self, &k, val);
	ASSERT_TRUE(start_child(&child, self->map, len - 1));

	ASSERT_EQ(0, unbind_driver(variant->dev));
	EXPECT_FALSE(is_claimed(variant->dev, NULL));
	expect_dead(_metadata, self, &k);
	EXPECT_EQ(SIGBUS, end_child(&child)) TH_LOG("of a child");

	ASSERT_EQ(0, bind_driver(variant->dev));
	EXPECT_EQ(SIGBUS, touch(self->map + PMD)) TH_LOG("bound again");
	EXPECT_EQ(SIGBUS, touch(self->map + len / 2 + PAGE)) TH_LOG("bound again, not touched");
	EXPECT_EQ(SIGBUS, touch(k.part + PMD));
	EXPECT_EQ(SIGBUS, touch(k.new));
	/* What mm does to dead mappings */
	EXPECT_EQ(0, syscall(__NR_mprotect, k.ro, len, RW));
	EXPECT_EQ(SIGBUS, touch_write(k.ro + PMD));
	EXPECT_EQ(k.moved, mremap(k.new, 2 * PMD, 2 * PMD, MREMAP_MAYMOVE | MREMAP_FIXED, k.moved));
	EXPECT_EQ(SIGBUS, touch(k.moved));

	fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(fd, 0);
	new = map_at(fd, len, RW, 0, self->align, 0);
	ASSERT_NE(MAP_FAILED, new);
	EXPECT_TRUE(is_at(new + PMD, val));
	EXPECT_EQ(SIGBUS, touch(self->map + PMD)) TH_LOG("beside a new mapping");
	munmap(new, len);
	close(fd);
	munmap(k.small, 2 * PMD);
	munmap(k.part, len);
	munmap(k.ro, len);
	munmap(k.moved, 2 * PMD);
}

/* Some GiB, in leaves of 1 GiB where there are such */

#if __SIZEOF_LONG__ == 8
FIXTURE(leaves) {
	struct leaves leaves;
};

FIXTURE_SETUP(leaves)
{
	struct leaves *l = &self->leaves;

	if (!is_bound(HIGH))
		ASSERT_EQ(0, modprobe(DRIVER));
	l->path = strdup(dev_path(HIGH, "shmem"));
	l->fd = open(l->path, O_RDWR);
	ASSERT_GE(l->fd, 0);
	l->len = bar_size(HIGH);
	ASSERT_TRUE(open_leaves(l));
}

FIXTURE_TEARDOWN(leaves)
{
	munmap(self->leaves.pages, self->leaves.len);
	close(self->leaves.fd);
}

TEST_F(leaves, split)
{
	EXPECT_TRUE(split_leaves(&self->leaves));
}

TEST_F(leaves, keep)
{
	EXPECT_TRUE(keep_leaves(&self->leaves));
}

#ifdef __x86_64__
TEST_F(leaves, split_while_touched)
{
	EXPECT_TRUE(split_while_touched(&self->leaves));
}
#endif

static bool unbind_and_bind(void)
{
	if (unbind_driver(HIGH))
		return false;
	usleep(500);
	if (bind_driver(HIGH))
		return false;
	usleep(2000);
	return true;
}

TEST_F(leaves, split_while_unbound)
{
	/* With KASAN, each bind takes seconds, to fill the shadow of 2 GiB. */
	bool slow = !access("/sys/kernel/debug/kmemleak", F_OK);

	EXPECT_TRUE(split_while_taken(&self->leaves, slow ? 3 : 50, unbind_and_bind));
}
#endif

#ifdef __x86_64__
/* mm's own test of such mappings; what it says goes to the console. */
TEST_F(leaves, selftest_pfnmap)
{
	char *argv[] = { "/pfnmap", "--", (char *)self->leaves.path, NULL };
	int status = -1, console = open("/dev/console", O_WRONLY);
	pid_t pid = fork();

	if (!pid) {
		dup2(console, STDOUT_FILENO);
		dup2(console, STDERR_FILENO);
		execve(argv[0], argv, NULL);
		_exit(127);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}
#endif

/* BARs without room for a large piece */

FIXTURE(short_bar) {
	int fd;
};

FIXTURE_VARIANT(short_bar) {
	const char *dev;
	size_t len;
};

FIXTURE_VARIANT_ADD(short_bar, one_page) { .dev = ONE_PAGE, .len = PAGE };
FIXTURE_VARIANT_ADD(short_bar, one_mib) { .dev = ONE_MIB, .len = MIB };

FIXTURE_SETUP(short_bar)
{
	if (!is_bound(variant->dev))
		ASSERT_EQ(0, modprobe(DRIVER));
	ASSERT_TRUE(is_bound(variant->dev));
	ASSERT_EQ(variant->len, bar_size(variant->dev));
	self->fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(short_bar)
{
	close(self->fd);
}

TEST_F(short_bar, faults)
{
	const size_t len = variant->len;
	char *map = map_at(self->fd, len, RW, 0, PMD, 0);
	size_t pos;
	uint64_t val;

	ASSERT_NE(MAP_FAILED, map);
	for (pos = 0; pos < len; pos += PAGE)
		mark(self->fd, pos);
	EXPECT_EQ(len / PAGE, faults_of((uint64_t *)map, len, PAGE, false));
	for (pos = 0; pos < len; pos += PAGE)
		ASSERT_TRUE(is_at(map + pos, pattern_word(seed, pos)));
	val = word_at(self->fd, 0);
	*(uint64_t *)map = ~val;
	EXPECT_EQ(~val, word_at(self->fd, 0));
	/* Nothing behind its end */
	EXPECT_EQ(-EINVAL, map_errno(self->fd, len + PAGE, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PMD, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_SHARED, len));
	EXPECT_EQ(MAP_FAILED, mremap(map, len, PMD, MREMAP_MAYMOVE, NULL));

	ASSERT_EQ(0, unbind_driver(variant->dev));
	EXPECT_EQ(SIGBUS, touch(map));
	EXPECT_EQ(SIGBUS, touch(map + len - 1));
	ASSERT_EQ(0, bind_driver(variant->dev));
	EXPECT_EQ(SIGBUS, touch(map));
	munmap(map, len);
}
