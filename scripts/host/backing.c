// SPDX-License-Identifier: GPL-2.0
/*
 * The host's side of a shared memory: fill its backing file before the guest
 * boots, check it afterwards
 */

#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../guest/pattern.h"

static void fill(int fd, uint64_t seed, uint64_t size)
{
	uint64_t buf[PATTERN_WORDS], i, page;

	if (ftruncate(fd, 0) || ftruncate(fd, size))
		err(1, "ftruncate");
	for (i = 0; i < pattern_pages(size); i++) {
		page = pattern_page(seed, size, i);
		pattern_fill(buf, seed, page);
		if (pwrite(fd, buf, sizeof(buf), page * PATTERN_PAGE) != sizeof(buf))
			err(1, "pwrite");
	}
}

/* The first half of a page is written with write(), the second through mmap. */
static void check_page(int fd, uint64_t seed, uint64_t page, bool guest)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS];
	unsigned int i;

	pattern_fill(want, guest ? seed ^ PATTERN_GUEST : seed, page);
	if (pread(fd, have, sizeof(have), page * PATTERN_PAGE) != sizeof(have))
		err(1, "pread");
	for (i = 0; i < PATTERN_WORDS; i++)
		if (have[i] != want[i])
			errx(1, "byte %#llx: %016llx instead of the %s's %016llx",
			     page * PATTERN_PAGE + i * 8ULL,
			     (unsigned long long)have[i], guest ? "guest" : "host",
			     (unsigned long long)want[i]);
}

/* Nothing but zeros in the pages @from to @to. */
static void check_unused(int fd, uint64_t from, uint64_t to)
{
	static const char zero[PATTERN_PAGE];
	char buf[PATTERN_PAGE];
	off_t pos = from * PATTERN_PAGE, end = to * PATTERN_PAGE;

	while ((pos = lseek(fd, pos, SEEK_DATA)) >= 0 && pos < end) {
		pos -= pos % PATTERN_PAGE;
		if (pread(fd, buf, sizeof(buf), pos) != sizeof(buf))
			err(1, "pread");
		if (memcmp(buf, zero, sizeof(buf)))
			errx(1, "page at %#llx was never meant to be written",
			     (unsigned long long)pos);
		pos += PATTERN_PAGE;
	}
}

static void check(int fd, uint64_t seed, uint64_t size)
{
	uint64_t i, page, next = 0;

	for (i = 0; i < pattern_pages(size); i++) {
		page = pattern_page(seed, size, i);
		check_unused(fd, next, page);
		check_page(fd, seed, page, pattern_guest_writes(seed, size, i));
		next = page + 1;
	}
	printf("%llu pages right\n", (unsigned long long)i);
}

int main(int argc, char **argv)
{
	uint64_t seed, size;
	bool filling;
	int fd;

	if (argc != 5)
		errx(2, "usage: backing fill|check FILE SIZE SEED");
	filling = !strcmp(argv[1], "fill");
	size = strtoull(argv[3], NULL, 0);
	seed = strtoull(argv[4], NULL, 0) ^ size;

	fd = open(argv[2], O_RDWR | O_CREAT, 0600);
	if (fd < 0)
		err(1, "%s", argv[2]);
	if (filling)
		fill(fd, seed, size);
	else
		check(fd, seed, size);
	return 0;
}
