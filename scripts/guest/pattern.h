/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What host and guest expect to find in a shared memory, both from one seed
 */

#ifndef PATTERN_H
#define PATTERN_H

#include <endian.h>
#include <stdint.h>

#define PATTERN_PAGE	4096
#define PATTERN_WORDS	(PATTERN_PAGE / sizeof(uint64_t))
#define PATTERN_GUEST	0x67756573742d3a29ULL	/* turns a host seed into a guest seed */

/* Memories up to this size are used page for page, larger ones in samples. */
#define PATTERN_FULL	(64ULL << 20)
#define PATTERN_SAMPLES	64

/* splitmix64: the value at any place without those before it */
static inline uint64_t pattern_word(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Little-endian, so that host and guest need not have the same byte order */
static inline void pattern_fill(uint64_t *buf, uint64_t seed, uint64_t page)
{
	unsigned int i;

	for (i = 0; i < PATTERN_WORDS; i++)
		buf[i] = htole64(pattern_word(seed, page * PATTERN_WORDS + i));
}

static inline uint64_t pattern_pages(uint64_t size)
{
	return size <= PATTERN_FULL ? size / PATTERN_PAGE : PATTERN_SAMPLES;
}

/* The @i-th page in use: the first, the last, and random ones in between. */
static inline uint64_t pattern_page(uint64_t seed, uint64_t size, uint64_t i)
{
	uint64_t pages = size / PATTERN_PAGE, stride = pages / PATTERN_SAMPLES;

	if (size <= PATTERN_FULL)
		return i;
	if (i == 0)
		return 0;
	if (i == PATTERN_SAMPLES - 1)
		return pages - 1;
	return i * stride + pattern_word(~seed, i) % stride;
}

/* Does the guest write to the @i-th page?  Always the first and the last. */
static inline int pattern_guest_writes(uint64_t seed, uint64_t size, uint64_t i)
{
	return i == 0 || i == pattern_pages(size) - 1 ||
	       pattern_word(~seed, ~i) % 4 == 0;
}

#endif
