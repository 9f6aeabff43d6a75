// SPDX-License-Identifier: GPL-2.0
/*
 * A random walk: several processes open, read, write, map, touch, unmap in part, move,
 * protect and fork, while another one unbinds, binds, removes and rescans.  What
 * comes of each step is right data, an error on a list, or SIGBUS.
 *
 * What is tried is up to the seed and repeats with it; when it meets an unbinding
 * is not.
 */

#include "mapping.h"

#include <sched.h>

#define WORKERS	4
#define FILES	4
#define PARTS	24

/* Of the devices, both are used by all. */
static const char * const devs[] = { LOW, HIGH };

enum outcome { RIGHT, NODEV, NOENT, BUS, SEGV, WRONG, OUTCOMES };

/* Between all processes */
static struct {
	bool stop;
	unsigned long done[WORKERS];
	unsigned long gone[ARRAY_SIZE(devs)];	/* how often it was unbound */
	unsigned long seen[OUTCOMES];
} *shared;

static unsigned int me;
static unsigned long step;
static unsigned int drawn;

static void saw(enum outcome what)
{
	__atomic_add_fetch(&shared->seen[what], 1, __ATOMIC_RELAXED);
}

static void wrong(const char *what, uint64_t val)
{
	saw(WRONG);
	if (shared->seen[WRONG] <= 10)
		say("# worker %u, step %lu: %s: %llx\n", me, step, what, (unsigned long long)val);
}

/* The same numbers at the same step of the same worker */
static uint64_t draw(uint64_t below)
{
	return pattern_word(pattern_word(seed, me), step * 64 + drawn++) % below;
}

/*
 * What is in the memory: one word in each of four pages of 512, the first and last
 * that a PMD leaf maps among them, and that is one of two.
 */
static uint64_t word_offset(uint64_t page)
{
	return page * PAGE + pattern_word(seed, page) % (PAGE / 8) * 8;
}

static uint64_t word(uint64_t off, bool which)
{
	return pattern_word(which ? ~seed : seed, off);
}

/* Of both, if the kernel copied it byte by byte while another wrote: each byte is of one. */
static bool is_right(uint64_t val, uint64_t off)
{
	uint64_t not_first = val ^ word(off, 0), not_second = val ^ word(off, 1);
	unsigned int shift;

	for (shift = 0; shift < 64; shift += 8)
		if ((not_first >> shift & 0xff) && (not_second >> shift & 0xff))
			return false;
	return true;
}

static uint64_t draw_page(uint64_t first, uint64_t pages)
{
	static const unsigned int used[] = { 0, 1, 255, 511 };
	uint64_t page = first + draw(pages);

	return page / 512 * 512 + used[draw(4)];
}

/* Memory access that may raise a signal */

static void *landing[5];
static volatile int raised;

/*
 * The kernel's, as nolibc has none.  Nothing returns from a handler here, so
 * what restores is never called.
 */
struct kernel_sigaction {
	void (*handler)(int sig);
	unsigned long flags;
#ifdef SA_RESTORER
	void (*restorer)(void);
#endif
	unsigned long mask[64 / (8 * sizeof(long))];
};

static void on_signal(int sig)
{
	raised = sig;
	__builtin_longjmp(landing, 1);
}

static void catch_signals(void)
{
	struct kernel_sigaction act = { .handler = on_signal, .flags = SA_NODEFER };

#ifdef SA_RESTORER
	act.flags |= SA_RESTORER;
	act.restorer = abort;
#endif
	syscall(__NR_rt_sigaction, SIGBUS, &act, NULL, sizeof(act.mask));
	syscall(__NR_rt_sigaction, SIGSEGV, &act, NULL, sizeof(act.mask));
}

/* Functions of their own, as the compiler does not see that an access can jump */
static __attribute__((noipa)) void access_word(volatile uint64_t *p, uint64_t *val, bool write)
{
	if (write)
		*p = *val;
	else
		*val = *p;
}

static __attribute__((noipa)) int try_access(volatile uint64_t *p, uint64_t *val, bool write)
{
	raised = 0;
	if (__builtin_setjmp(landing))
		return raised;
	access_word(p, val, write);
	return 0;
}

static int try_copy(void *p, uint64_t *val, bool write)
{
	if (write ? copy_word(p, val) : copy_word(val, p))
		return 0;
	return errno == EFAULT ? SIGBUS : -errno;
}

/* What a worker has open, and what it has mapped */

static struct file {
	int fd;		/* -1 if there is none, and no part of it */
	unsigned int dev;
	unsigned long gone;
} files[FILES];

static struct part {
	struct file *file;	/* NULL if there is none */
	char *addr;
	size_t len;
	uint64_t off;
	int prot;
} parts[PARTS];

static uint64_t sizes[ARRAY_SIZE(devs)];

/* Has the driver gone since the file was opened?  Then nothing can be had of it. */
static bool is_dead(const struct file *file)
{
	return __atomic_load_n(&shared->gone[file->dev], __ATOMIC_SEQ_CST) != file->gone;
}

/* Of something that was to fail if the file was dead before it */
static void saw_result(long ret, bool was_dead, const char *what)
{
	if (ret == -ENODEV)
		saw(NODEV);
	else if (ret == -ENOENT)
		saw(NOENT);
	else if (ret == SIGBUS)
		saw(BUS);
	else if (ret < 0)
		wrong(what, -ret);
	else if (was_dead)
		wrong("of a device that is gone", ret);
	else
		saw(RIGHT);
}

static void drop_part(struct part *part)
{
	if (munmap(part->addr, part->len))
		wrong("munmap", errno);
	part->file = NULL;
}

static void step_open(struct file *file)
{
	unsigned int i, dev = draw(ARRAY_SIZE(devs));

	if (file->fd >= 0) {
		for (i = 0; i < PARTS; i++)
			if (parts[i].file == file)
				drop_part(&parts[i]);
		close(file->fd);
	}
	file->dev = dev;
	file->fd = open(dev_path(devs[dev], "shmem"), O_RDWR);
	/* Those before were of an earlier one, in which nothing could be opened. */
	file->gone = __atomic_load_n(&shared->gone[dev], __ATOMIC_SEQ_CST);
	saw_result(file->fd < 0 ? -errno : 0, false, "open");
}

static void step_io(struct file *file)
{
	uint64_t off = word_offset(draw_page(0, sizes[file->dev] / PAGE)), val = word(off, draw(2));
	bool dead = is_dead(file);
	ssize_t ret;

	if (draw(2)) {
		ret = write_at(file->fd, &val, sizeof(val), off);
	} else {
		ret = read_at(file->fd, &val, sizeof(val), off);
		if (ret == sizeof(val) && !is_right(val, off))
			wrong("read", val);
	}
	saw_result(ret, dead, "read or write");
}

static struct part *free_part(void)
{
	unsigned int i;

	for (i = 0; i < PARTS; i++)
		if (!parts[i].file)
			return &parts[i];
	return NULL;
}

static void step_map(struct file *file)
{
	const size_t lens[] = { PAGE, 3 * PAGE, PMD - PAGE, PMD, PMD + PAGE, 5 * PMD, 32 * MIB,
				PUD, PUD + 3 * PMD, sizes[file->dev] };
	const size_t offs[] = { 0, PAGE, PMD, PMD - PAGE, 7 * PMD, PUD, PUD - PMD };
	size_t len = lens[draw(ARRAY_SIZE(lens))], off = offs[draw(ARRAY_SIZE(offs))];
	size_t align = draw(2) ? PUD : PMD, shift = draw(4) ? 0 : draw(align / PAGE) * PAGE;
	bool fits = len + off <= sizes[file->dev], dead = is_dead(file);
	struct part *part = free_part();
	int prot = draw(3) ? RW : PROT_READ;
	uint64_t how = draw(8);
	char *map;
	long ret;

	if (!part)
		return drop_part(&parts[draw(PARTS)]);
	if (how == 0) {
		/* Private: never */
		map = mmap(NULL, len, prot, MAP_PRIVATE | MAP_NORESERVE, file->fd, off);
		fits = false;
	} else if (how < 4) {
		map = mmap(NULL, len, prot, MAP_SHARED, file->fd, off);
	} else {
		map = map_at(file->fd, len, prot, off, align, shift);
	}
	ret = map == MAP_FAILED ? -errno : 0;
	if (ret == -EINVAL && !fits)
		return saw(RIGHT);
	if (!ret) {
		if (!fits)
			wrong("mapped what must not be", len + off);
		*part = (struct part){ file, map, len, off, prot };
	}
	saw_result(ret, dead, "mmap");
}

static void step_touch(struct part *part)
{
	uint64_t off = word_offset(draw_page(part->off / PAGE, part->len / PAGE)), val;
	bool dead = is_dead(part->file), write = draw(2), copy = draw(4) == 0;
	void *p = part->addr + (off - part->off);
	int ret;

	if (off < part->off || off >= part->off + part->len)
		return;
	val = word(off, draw(2));
	if (write && !(part->prot & PROT_WRITE)) {
		ret = try_access(p, &val, true);
		if (ret != SIGSEGV)
			wrong("wrote what is read-only", ret);
		return saw(SEGV);
	}
	ret = copy ? try_copy(p, &val, write) : try_access(p, &val, write);
	if (!ret && !is_right(val, off))
		wrong("touch", val);
	if (ret == SIGSEGV)
		return wrong("SIGSEGV at", (uintptr_t)p);
	saw_result(ret, dead, "touch");
}

/* Make a part of its own of some pages of @part, with up to two others around it. */
static struct part *cut(struct part *part)
{
	size_t pages = part->len / PAGE, first, count;
	struct part whole = *part, *other;

	first = draw(3) ? draw(pages) : draw(pages) / 512 * 512;
	count = draw(3) ? 1 + draw(pages - first) : 1;
	if (first) {
		other = free_part();
		if (!other)
			return NULL;
		*other = whole;
		other->len = first * PAGE;
		part->addr += first * PAGE;
		part->off += first * PAGE;
		part->len -= first * PAGE;
	}
	if (first + count < pages) {
		other = free_part();
		if (!other)
			return NULL;
		*other = *part;
		other->addr += count * PAGE;
		other->off += count * PAGE;
		other->len -= count * PAGE;
		part->len = count * PAGE;
	}
	return part;
}

static void step_unmap(struct part *part)
{
	part = cut(part);
	if (part)
		drop_part(part);
}

static void step_protect(struct part *part)
{
	int prot = draw(2) ? RW : PROT_READ;

	part = cut(part);
	if (!part)
		return;
	if (syscall(__NR_mprotect, part->addr, part->len, prot))
		return wrong("mprotect", errno);
	part->prot = prot;
	saw(RIGHT);
}

static void step_move(struct part *part)
{
	size_t align = draw(2) ? PMD : PUD, shift = draw(2) ? 0 : PAGE * draw(512);
	char *room, *to;

	part = cut(part);
	if (!part)
		return;
	room = mmap(NULL, part->len + 2 * align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (room == MAP_FAILED)
		return wrong("mmap of room", errno);
	/* As it was aligned, or not at all */
	to = (char *)(((uintptr_t)room + align - 1) / align * align);
	to += draw(3) ? (uintptr_t)part->addr % align : shift % align;
	if (mremap(part->addr, part->len, part->len, MREMAP_MAYMOVE | MREMAP_FIXED, to) != to)
		return wrong("mremap", errno);
	munmap(room, to - room);
	munmap(to + part->len, room + part->len + 2 * align - (to + part->len));
	part->addr = to;
	saw(RIGHT);
}

/* Something else takes the place of a part. */
static void step_map_over(struct part *part)
{
	bool dead = is_dead(part->file);
	uint64_t off;
	long ret;

	part = cut(part);
	if (!part)
		return;
	if (draw(2)) {
		if (mmap(part->addr, part->len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED |
			 MAP_NORESERVE, -1, 0) != part->addr)
			return wrong("mmap over", errno);
		if (*(volatile char *)part->addr)
			return wrong("anonymous memory has", *part->addr);
		return drop_part(part);
	}
	off = draw((sizes[part->file->dev] - part->len) / PAGE + 1) * PAGE;
	ret = mmap(part->addr, part->len, part->prot, MAP_SHARED | MAP_FIXED, part->file->fd,
		   off) == MAP_FAILED ? -errno : 0;
	/* A failure may have unmapped what was there */
	if (ret)
		drop_part(part);
	else
		part->off = off;
	saw_result(ret, dead, "mmap over");
}

static void walk(unsigned long steps, bool may_fork);

static void step_fork(void)
{
	unsigned long steps = 1 + draw(20);
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		/* Of its own: numbers, and a view of the memory */
		me += 100;
		walk(steps, false);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		wrong("child", status);
}

static void walk(unsigned long steps, bool may_fork)
{
	unsigned long end = step + steps;
	struct file *file;
	struct part *part;

	for (; step < end && !shared->stop; step++) {
		drawn = 0;
		file = &files[draw(FILES)];
		part = &parts[draw(PARTS)];
		if (may_fork)
			__atomic_store_n(&shared->done[me], step, __ATOMIC_RELAXED);
		if (file->fd < 0 || !draw(20)) {
			step_open(file);
			if (file->fd < 0)
				usleep(500);
			continue;
		}
		switch (draw(part->file ? 16 : 5)) {
		case 0 ... 1:
			step_io(file);
			break;
		case 2 ... 3:
			step_map(file);
			break;
		case 4:
			if (may_fork && !draw(4))
				step_fork();
			break;
		case 5:
			step_unmap(part);
			break;
		case 6:
			step_protect(part);
			break;
		case 7:
			step_move(part);
			break;
		case 8:
			step_map_over(part);
			break;
		default:
			step_touch(part);
		}
	}
}

/* The one that takes the device away, WORKERS by number */

static void lose(unsigned int dev, int ret, const char *what)
{
	if (ret)
		wrong(what, -ret);
	__atomic_add_fetch(&shared->gone[dev], 1, __ATOMIC_SEQ_CST);
}

static void step_unbind(unsigned int dev)
{
	switch (draw(5)) {
	case 0:
		lose(dev, spew(dev_path(devs[dev], "remove"), "1"), "remove");
		usleep(draw(3000));
		if (spew("/sys/bus/pci/rescan", "1"))
			wrong("rescan", 0);
		break;
	case 1:
		/* Unbound, and then removed */
		lose(dev, unbind_driver(devs[dev]), "unbind");
		if (spew(dev_path(devs[dev], "remove"), "1") || spew("/sys/bus/pci/rescan", "1"))
			wrong("remove and rescan", 0);
		break;
	default:
		lose(dev, unbind_driver(devs[dev]), "unbind");
		usleep(draw(3000));
		if (bind_driver(devs[dev]))
			wrong("bind", dev);
	}
	if (!is_bound(devs[dev]) || enable_count(devs[dev]) != 1)
		wrong("not bound", dev);
}

/* Has it met what it is for?  On a fast machine, its steps may be over before that. */
static bool has_met_all(void)
{
	unsigned int dev;

	for (dev = 0; dev < ARRAY_SIZE(devs); dev++)
		if (!shared->gone[dev])
			return false;
	return shared->seen[NODEV] && shared->seen[BUS];
}

static void unbinder(void)
{
	unsigned long done, i;

	me = WORKERS;
	do {
		drawn = 0;
		step_unbind(draw(ARRAY_SIZE(devs)));
		step++;
		usleep(draw(4) ? draw(5000) : draw(50000));
		for (i = done = 0; i < WORKERS; i++)
			done += shared->done[i];
		progress(done, WORKERS * rounds);
	} while (!shared->stop);
}

FIXTURE(walk) { };

FIXTURE_SETUP(walk)
{
	if (!is_bound(HIGH))
		ASSERT_EQ(0, modprobe(DRIVER));
}

FIXTURE_TEARDOWN(walk) { }

/* All the words that there may be in the memory of a device */
static bool fill(unsigned int dev)
{
	int fd = open(dev_path(devs[dev], "shmem"), O_RDWR);
	uint64_t i, off, val;
	bool done = fd >= 0;

	for (i = 0; done && i < sizes[dev] / PAGE; i++) {
		if (i % 512 > 1 && i % 512 != 255 && i % 512 != 511)
			continue;
		off = word_offset(i);
		val = word(off, 0);
		done = write_at(fd, &val, sizeof(val), off) == sizeof(val);
	}
	close(fd);
	return done;
}

TEST_F_TIMEOUT(walk, random, 24 * 3600)
{
	unsigned int dev, i;
	int status;
	pid_t pid, last;

	shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, shared);
	for (dev = 0; dev < ARRAY_SIZE(devs); dev++) {
		ASSERT_TRUE(is_bound(devs[dev]));
		sizes[dev] = bar_size(devs[dev]);
		ASSERT_TRUE(fill(dev));
	}
	catch_signals();
	for (i = 0; i < FILES; i++)
		files[i].fd = -1;

	TH_LOG("seed %llu, %lu steps of each of %u", (unsigned long long)seed, rounds, WORKERS);
	last = fork();
	if (!last) {
		unbinder();
		_exit(0);
	}
	for (me = 0; me < WORKERS; me++) {
		if (fork())
			continue;
		syscall(__NR_setpriority, 0, 0, 19);
		walk(rounds, true);
		while (!has_met_all() && step < 100 * rounds)
			walk(1, true);
		_exit(0);
	}
	for (i = 0; i < WORKERS; i++) {
		pid = wait(&status);
		EXPECT_NE(last, pid);
		EXPECT_EQ(0, status);
	}
	shared->stop = true;
	EXPECT_EQ(last, wait(&status));
	EXPECT_EQ(0, status);

	TH_LOG("%lu + %lu unbound; %lu right, %lu ENODEV, %lu ENOENT, %lu SIGBUS, %lu SIGSEGV, %lu wrong",
	       shared->gone[0], shared->gone[1], shared->seen[RIGHT], shared->seen[NODEV],
	       shared->seen[NOENT], shared->seen[BUS], shared->seen[SEGV], shared->seen[WRONG]);
	EXPECT_EQ(0, shared->seen[WRONG]);
	EXPECT_GT(shared->seen[RIGHT], rounds);
	EXPECT_GT(shared->seen[NODEV], 0);
	EXPECT_GT(shared->seen[BUS], 0);
	for (dev = 0; dev < ARRAY_SIZE(devs); dev++) {
		EXPECT_GT(shared->gone[dev], 0);
		EXPECT_EQ(1, enable_count(devs[dev]));
		EXPECT_TRUE(is_claimed(devs[dev], DRIVER));
	}
}

/* Last, so that it sees what the walk left */
TEST_F(walk, no_leaks)
{
	ASSERT_EQ(0, unbind_driver(LOW));
	ASSERT_EQ(0, unbind_driver(HIGH));
	EXPECT_NO_LEAKS();
}
