/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What mm does to a mapping of device memory that is filled in leaves of 1 GiB: each
 * operation on one page, at the start, in the middle and at the end of the first and
 * of the last leaf, on whole leaves, and while others touch the mapping.
 *
 * Where the leaves are smaller, the same holds.
 */

#ifndef LEAVES_H
#define LEAVES_H

#include "mapping.h"

#include <sched.h>

struct leaves {
	int fd;			/* maps the memory, from this offset on */
	uint64_t off;
	const char *path;	/* to be opened again, if fd may die */
	size_t len;		/* some GiB */
	char *pages;		/* all of it, in pages: what is compared with */
	char *map;		/* the one that is tried */
	size_t hole, end;	/* what of it is not to be compared */
	const char *what;
	bool good;
};

#define CHECK(l, cond) do {							\
	if (!(cond)) {								\
		(l)->good = false;						\
		say("# %s at %#lx, line %d: %s\n", (l)->what,			\
		    (unsigned long)(l)->hole, __LINE__, #cond);			\
	}									\
} while (0)

static bool is_gone(const char *p)
{
	uint64_t val;

	return !copy_word(&val, p);
}

/* What is looked at: both sides of where something is cut, in each leaf */
static const size_t places[] = {
	0, PAGE - 8, PAGE, 2 * PAGE, PMD - 8, PMD, PMD + PAGE, 2 * PMD,
	PUD - PMD, PUD - PAGE - 8, PUD - PAGE, PUD - 8,
};

#define for_each_place(l, pos) \
	for (size_t _i = 0; \
	     (pos) = _i / ARRAY_SIZE(places) * PUD + places[_i % ARRAY_SIZE(places)], (pos) < (l)->len; \
	     _i++)

static uint64_t leaf_word(size_t pos)
{
	return pattern_word(seed, pos);
}

static uint64_t word_of(const char *p)
{
	return *(volatile uint64_t *)p;
}

/* All but the hole is what it was. */
static bool is_right(struct leaves *l)
{
	size_t pos;

	for_each_place(l, pos) {
		if (pos >= l->hole && pos < l->end)
			continue;
		if (word_of(l->map + pos) == leaf_word(pos))
			continue;
		say("# %s at %#lx: wrong at %#lx\n", l->what, (unsigned long)l->hole, (unsigned long)pos);
		return false;
	}
	return true;
}

static bool open_leaves(struct leaves *l)
{
	size_t pos;

	l->pages = map_at(l->fd, l->len, RW, l->off, PMD, PAGE);
	if (l->pages == MAP_FAILED)
		return false;
	for_each_place(l, pos)
		*(volatile uint64_t *)(l->pages + pos) = leaf_word(pos);
	return true;
}

/* A new mapping with all of its leaves in place */
static bool map_leaves(struct leaves *l)
{
	size_t pos;

	l->map = map_at(l->fd, l->len, RW, l->off, PUD, 0);
	if (l->map == MAP_FAILED)
		return false;
	for (pos = 0; pos < l->len; pos += PUD)
		(void)word_of(l->map + pos);
	return true;
}

/* Room for something, @shift behind a multiple of 1 GiB */
static char *make_room(struct leaves *l, size_t len, size_t shift)
{
	return map_at(l->fd, len, PROT_NONE, l->off, PUD, shift);
}

static bool move(char *from, size_t len, char *to)
{
	return mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to;
}

static int in_child(struct leaves *l, void (*what)(struct leaves *l))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		l->good = true;
		what(l);
		_exit(!l->good);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* On one page: l->hole to l->end */

static void try_munmap(struct leaves *l)
{
	CHECK(l, munmap(l->map + l->hole, l->end - l->hole) == 0);
	CHECK(l, is_gone(l->map + l->hole));
	CHECK(l, is_gone(l->map + l->end - 8));
}

static void try_munmap_to_end(struct leaves *l)
{
	l->end = l->len;
	try_munmap(l);
}

static void try_munmap_from_start(struct leaves *l)
{
	l->end = l->hole;
	l->hole = 0;
	try_munmap(l);
}

static void try_mprotect(struct leaves *l)
{
	char *p = l->map + l->hole;
	uint64_t val = leaf_word(l->hole);

	CHECK(l, syscall(__NR_mprotect, p, PAGE, PROT_READ) == 0);
	CHECK(l, word_of(p) == val);
	CHECK(l, !copy_word(p, &val));
	CHECK(l, syscall(__NR_mprotect, p, PAGE, PROT_NONE) == 0);
	CHECK(l, is_gone(p));
	CHECK(l, is_right(l));
	CHECK(l, syscall(__NR_mprotect, p, PAGE, RW) == 0);
	CHECK(l, copy_word(p, &val));
	l->end = l->hole;
}

static void child_has_no_hole(struct leaves *l)
{
	CHECK(l, is_gone(l->map + l->hole));
	CHECK(l, is_right(l));
}

static void try_dontfork(struct leaves *l)
{
	if (syscall(__NR_madvise, l->map + l->hole, PAGE, MADV_DONTFORK)) {
		CHECK(l, errno == ENOSYS);	/* a kernel without madvise() */
		return;
	}
	CHECK(l, in_child(l, child_has_no_hole) == 0);
	l->end = l->hole;
}

static void try_mlock(struct leaves *l)
{
	CHECK(l, syscall(__NR_mlock, l->map + l->hole, PAGE) == 0);
	CHECK(l, is_right(l));
	CHECK(l, syscall(__NR_munlock, l->map + l->hole, PAGE) == 0);
	l->end = l->hole;
}

static void try_map_over(struct leaves *l)
{
	char *p = l->map + l->hole;

	CHECK(l, mmap(p, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
	CHECK(l, word_of(p) == 0);
	memset(p, 0xaa, PAGE);
	CHECK(l, is_right(l));
	/* Its own memory again, next to what was split off */
	CHECK(l, mmap(p, PAGE, RW, MAP_SHARED | MAP_FIXED, l->fd, l->off + l->hole) == p);
	l->end = l->hole;
}

static void child_unmaps(struct leaves *l)
{
	CHECK(l, is_right(l));
	try_munmap(l);
	CHECK(l, is_right(l));
}

static void try_child(struct leaves *l)
{
	CHECK(l, in_child(l, child_unmaps) == 0);
	l->end = l->hole;
}

static void try_move(struct leaves *l, size_t shift)
{
	char *p = l->map + l->hole, *room = make_room(l, PUD, shift);

	CHECK(l, move(p, PAGE, room + l->hole % PUD));
	CHECK(l, is_gone(p));
	CHECK(l, word_of(room + l->hole % PUD) == leaf_word(l->hole));
	CHECK(l, is_right(l));
	CHECK(l, move(room + l->hole % PUD, PAGE, p));
	munmap(room, PUD);
	l->end = l->hole;
}

static void try_move_page(struct leaves *l)
{
	try_move(l, 0);
}

static void try_move_page_elsewhere(struct leaves *l)
{
	try_move(l, 3 * PAGE);
}

/* From there to the end: a part of a leaf, and whole ones */
static void try_move_rest(struct leaves *l)
{
	size_t len = l->len - l->hole;
	char *p = l->map + l->hole, *room = make_room(l, l->len, 0);

	l->end = l->len;
	CHECK(l, move(p, len, room + l->hole));
	CHECK(l, is_gone(p));
	CHECK(l, is_gone(l->map + l->len - 8));
	CHECK(l, is_right(l));
	CHECK(l, move(room + l->hole, len, p));
	munmap(room, l->len);
	l->end = l->hole;
}

static void try_shrink(struct leaves *l)
{
	l->end = l->len;
	CHECK(l, mremap(l->map, l->len, l->hole, 0, NULL) == l->map);
	CHECK(l, is_gone(l->map + l->hole));
}

static const struct {
	const char *name;
	void (*try)(struct leaves *l);
} on_page[] = {
	{ "munmap", try_munmap },
	{ "munmap to the end", try_munmap_to_end },
	{ "munmap from the start", try_munmap_from_start },
	{ "mprotect", try_mprotect },
	{ "MADV_DONTFORK", try_dontfork },
	{ "mlock", try_mlock },
	{ "MAP_FIXED", try_map_over },
	{ "munmap by a child", try_child },
	{ "mremap", try_move_page },
	{ "mremap elsewhere", try_move_page_elsewhere },
	{ "mremap of the rest", try_move_rest },
	{ "mremap that shrinks", try_shrink },
};

static bool split_leaves(struct leaves *l)
{
	static const size_t cuts[] = { PAGE, PMD, PUD - PAGE };
	unsigned int i, n;

	l->good = true;
	for (i = 0; i < ARRAY_SIZE(on_page); i++) {
		l->what = on_page[i].name;
		for (n = 0; n < 2 * ARRAY_SIZE(cuts); n++) {
			l->hole = cuts[n / 2] + (n % 2 ? l->len - PUD : 0);
			l->end = l->hole + PAGE;
			if (!map_leaves(l))
				return false;
			on_page[i].try(l);
			CHECK(l, is_right(l));
			munmap(l->map, l->len);
		}
	}
	return l->good;
}

/* On all of it */

static void try_move_all(struct leaves *l, size_t shift)
{
	char *room = make_room(l, l->len, shift), *old = l->map;
	size_t pos;
	long before;

	CHECK(l, is_right(l));
	/* Into the TLB: QEMU has one of its own for what the kernel touches */
	for_each_place(l, pos)
		CHECK(l, !is_gone(old + pos));
	CHECK(l, move(old, l->len, room));
	for_each_place(l, pos)
		CHECK(l, is_gone(old + pos));
	l->map = room;
	before = faults();
	CHECK(l, is_right(l));
	/* Whole leaves are still there, and need no fault */
	CHECK(l, shift || faults() == before);
	CHECK(l, move(room, l->len, old));
	l->map = old;
	CHECK(l, is_right(l));
}

static void try_moves(struct leaves *l)
{
	try_move_all(l, 0);
	try_move_all(l, PMD);
	try_move_all(l, 3 * PAGE);
}

/* Arm64 leaves it to the kernel to say that something was accessed: a fault for each leaf. */
#ifdef __aarch64__
#define CHILD_COUNTS	false
#else
#define CHILD_COUNTS	true
#endif

static void child_has_all(struct leaves *l)
{
	long before = faults();

	CHECK(l, is_right(l));
	CHECK(l, !CHILD_COUNTS || faults() - before < 16);	/* of other memory */
}

static void try_fork(struct leaves *l)
{
	CHECK(l, in_child(l, child_has_all) == 0);
}

static void try_protect_all(struct leaves *l)
{
	static const int prots[] = { PROT_READ, PROT_NONE, PROT_READ, RW, PROT_NONE, RW };
	uint64_t val = leaf_word(PAGE);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(prots); i++) {
		CHECK(l, syscall(__NR_mprotect, l->map, l->len, prots[i]) == 0);
		if (prots[i])
			CHECK(l, is_right(l));
		else
			CHECK(l, is_gone(l->map + l->len - 8));
		CHECK(l, copy_word(l->map + PAGE, &val) == (prots[i] == RW));
	}
}

/* What nobody may access is there nevertheless, and is split, moved and copied. */
static void try_protected(struct leaves *l)
{
	char *room = make_room(l, PUD, 0);
	size_t pos = l->len - PUD;

	CHECK(l, syscall(__NR_mprotect, l->map, l->len, PROT_NONE) == 0);
	CHECK(l, in_child(l, try_protect_all) == 0);
	CHECK(l, move(l->map + pos, PUD, room));
	CHECK(l, move(room, PUD, l->map + pos));
	CHECK(l, munmap(l->map + pos + PMD, PAGE) == 0);
	l->hole = pos + PMD;
	l->end = l->hole + PAGE;
	CHECK(l, syscall(__NR_mprotect, l->map, l->hole, RW) == 0);
	CHECK(l, syscall(__NR_mprotect, l->map + l->end, l->len - l->end, RW) == 0);
	CHECK(l, is_gone(l->map + l->hole));
}

static const struct {
	const char *name;
	void (*try)(struct leaves *l);
} on_all[] = {
	{ "mremap of all", try_moves },
	{ "fork", try_fork },
	{ "mprotect of all", try_protect_all },
	{ "PROT_NONE", try_protected },
};

static bool keep_leaves(struct leaves *l)
{
	unsigned int i;

	l->good = true;
	for (i = 0; i < ARRAY_SIZE(on_all); i++) {
		l->what = on_all[i].name;
		l->hole = l->end = 0;
		if (!map_leaves(l))
			return false;
		on_all[i].try(l);
		CHECK(l, is_right(l));
		munmap(l->map, l->len);
	}
	return l->good;
}

/* While others touch it */

#ifdef __x86_64__
/* Another thread of this process runs @run, on the stack that ends there. */
static pid_t start_thread(void (*run)(void), void **stack_end)
{
	long ret;

	*--stack_end = run;
	asm volatile("syscall\n\t"
		     "test %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "xor %%ebp, %%ebp\n\t"
		     "pop %%rax\n\t"
		     "call *%%rax\n\t"
		     "ud2\n"
		     "1:"
		     : "=a" (ret)
		     : "a" (__NR_clone), "D" (CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD),
		       "S" (stack_end), "d" (0)
		     : "rcx", "r10", "r11", "memory");
	return ret;
}

static struct {
	struct leaves *l;
	char *map;
	volatile bool stop;
	volatile unsigned long right, wrong;
	void *stack[1024];
} toucher;

/* With a pipe of its own: copy_word()'s is the other thread's. */
static void touch_all(void)
{
	uint64_t val;
	int pipes[2];
	size_t pos;

	if (pipe(pipes))
		syscall(__NR_exit, 1);
	while (!toucher.stop) {
		for_each_place(toucher.l, pos) {
			if (syscall(__NR_write, pipes[1], toucher.map + pos, 8) != 8)
				continue;
			syscall(__NR_read, pipes[0], &val, 8);
			if (val == leaf_word(pos))
				toucher.right++;
			else
				toucher.wrong++;
		}
	}
	syscall(__NR_exit, 0);
}

static void split_touched(struct leaves *l)
{
	static const size_t cuts[] = { PAGE, PMD, PUD - PAGE, PUD, PUD + PMD };
	char *room = make_room(l, l->len, 0), *map = l->map;
	unsigned int i;

	for (i = 0; i < 4 * ARRAY_SIZE(cuts); i++) {
		size_t pos = cuts[i / 4];

		switch (i % 4) {
		case 0:
			CHECK(l, move(map, l->len, room) && move(room, l->len, map));
			break;
		case 1:
			CHECK(l, munmap(map + pos, PAGE) == 0);
			break;
		case 2:
			CHECK(l, syscall(__NR_mprotect, map, pos, PROT_READ) == 0);
			break;
		case 3:
			CHECK(l, move(map, pos, room) && move(room, pos, map));
		}
		/* All of it anew */
		CHECK(l, mmap(map, l->len, RW, MAP_SHARED | MAP_FIXED, l->fd, l->off) == map);
		CHECK(l, is_right(l));
	}
	munmap(room, l->len);
}

/* Another thread touches it all the time. */
static bool split_while_touched(struct leaves *l)
{
	int status = -1;
	pid_t pid;

	l->good = true;
	l->what = "while touched";
	l->hole = l->end = 0;
	if (!map_leaves(l))
		return false;
	toucher.l = l;
	toucher.map = l->map;
	pid = start_thread(touch_all, toucher.stack + ARRAY_SIZE(toucher.stack));
	CHECK(l, pid > 0);
	while (pid > 0 && !toucher.right)
		syscall(__NR_sched_yield);
	split_touched(l);
	toucher.stop = true;
	CHECK(l, waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(l, toucher.right && !toucher.wrong);
	say("# touched %lu times\n", toucher.right);
	munmap(l->map, l->len);
	return l->good;
}
#endif

/* Maps, touches, moves, cuts: what is touched may be gone, but not wrong. */
static void split_untouched(struct leaves *l, size_t cut)
{
	char *map = map_at(l->fd, l->len, RW, l->off, PUD, 0), *room = make_room(l, l->len, 0);
	uint64_t val;
	size_t pos;

	if (map != MAP_FAILED && room != MAP_FAILED) {
		for_each_place(l, pos)
			if (copy_word(&val, map + pos))
				CHECK(l, val == leaf_word(pos));
		CHECK(l, move(map, PUD, room));
		CHECK(l, munmap(map + PUD + cut, PAGE) == 0);
		CHECK(l, syscall(__NR_mprotect, room, cut, PROT_READ) == 0);
		if (copy_word(&val, room + cut))
			CHECK(l, val == leaf_word(cut));
	}
	if (map != MAP_FAILED)
		munmap(map, l->len);
	if (room != MAP_FAILED)
		munmap(room, l->len);
}

/* All of it is unmapped behind our back: @take does that, in a child, so many times. */
static bool split_while_taken(struct leaves *l, unsigned int rounds, bool (*take)(void))
{
	static const size_t cuts[] = { PAGE, PMD, PUD - PAGE };
	unsigned int i = 0;
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		for (; i < rounds; i++)
			if (!take())
				_exit(1);
		_exit(0);
	}
	l->good = true;
	l->what = "while taken away";
	l->hole = l->end = 0;
	while (!waitpid(pid, &status, WNOHANG)) {
		if (l->path) {
			close(l->fd);
			l->fd = open(l->path, O_RDWR);
		}
		split_untouched(l, cuts[i++ % ARRAY_SIZE(cuts)]);
	}
	CHECK(l, status == 0);
	say("# %u times while taken away %u times\n", i, rounds);
	return l->good;
}

#endif
