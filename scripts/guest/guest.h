/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs share whose tests are the kernel's selftest harness's: most of them
 */

#ifndef GUEST_H
#define GUEST_H

/* Guests may be slow, and the host notices one that does not end. */
#include "kselftest_harness.h"
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT (600 * SLOW)	/* SLOW is 1, or what the caller says */

#include "init.h"

/* Has nothing leaked in this boot, as far as the kernel can tell? */
#define EXPECT_NO_LEAKS() do {						\
	static char leaks[1 << 14];					\
	int len = kmemleak(leaks, sizeof(leaks));			\
									\
	if (len == -ENOENT)						\
		SKIP(return, "no kmemleak in this kernel");		\
	EXPECT_EQ(0, len) TH_LOG("%s", leaks);				\
} while (0)

int main(int argc, char **argv)
{
	return be_init(argc, argv, test_harness_run);
}

#endif
