// SPDX-License-Identifier: GPL-2.0
/*
 * A device that wants more address space than there is: neither the helper nor
 * the sample takes it.
 */

#include "guest.h"

#define HUGE		"0000:00:08.0"

TEST(helper_refuses)
{
	EXPECT_EQ(-ENXIO, claim("dev=" HUGE));
}

TEST(driver_refuses)
{
	char log[256] = "";
	bool said = false;
	int fd;

	modprobe(DRIVER);
	EXPECT_FALSE(is_bound(HUGE));
	EXPECT_EQ(0, enable_count(HUGE));

	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	ASSERT_GE(fd, 0);
	while (read(fd, log, sizeof(log) - 1) > 0) {
		said = said || strstr(log, HUGE ": error -6: can't map BAR 2");
		memset(log, 0, sizeof(log));
	}
	EXPECT_TRUE(said);
}
