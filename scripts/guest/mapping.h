/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs have in common that map large parts of the sample's memory
 */

#ifndef MAPPING_H
#define MAPPING_H

#include "guest.h"

#define MIB	(1UL << 20)
#define PMD	(2 * MIB)	/* what a leaf of that level maps */
#define PUD	(1024 * MIB)

#define RW	(PROT_READ | PROT_WRITE)

/* Map at an address that is @shift, less than @align, behind a multiple of @align. */
static char *map_at(int fd, size_t len, int prot, uint64_t off, size_t align, size_t shift)
{
	char *all, *map;

	all = mmap(NULL, len + 2 * align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		return all;
	map = (char *)(((uintptr_t)all + align - 1) / align * align) + shift;
	if (mmap(map, len, prot, MAP_SHARED | MAP_FIXED, fd, off) == MAP_FAILED) {
		munmap(all, len + 2 * align);
		return MAP_FAILED;
	}
	munmap(all, map - all);
	munmap(map + len, all + len + 2 * align - (map + len));
	return map;
}

/* The kernel copies, which does not raise a signal if it cannot: errno is EFAULT. */
static bool copy_word(void *to, const void *from)
{
	static int pipes[2];
	static pid_t owner;

	if (owner != getpid()) {
		if (pipe(pipes))
			abort();
		owner = getpid();
	}
	if (syscall(__NR_write, pipes[1], from, 8) != 8)
		return false;
	if (syscall(__NR_read, pipes[0], to, 8) == 8)
		return true;
	/* Nothing may be left in it */
	syscall(__NR_read, pipes[0], (uint64_t[1]){ }, 8);
	return false;
}

/* Page faults of this process so far */
static long faults(void)
{
	struct rusage use;

	memset(&use, 0, sizeof(use));
	if (syscall(__NR_getrusage, RUSAGE_SELF, &use))
		abort();
	return use.ru_minflt;
}

/* Has the processor 1 GiB pages?  x86 only */
static bool has_1g_pages(void)
{
	static char buf[1 << 14];

	return strstr(must_slurp("/proc/cpuinfo", buf, sizeof(buf)), " pdpe1gb") != NULL;
}

#endif
