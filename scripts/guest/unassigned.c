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
	modprobe(DRIVER);
	EXPECT_FALSE(is_bound(HUGE));
	EXPECT_EQ(-ENXIO, bind_driver(HUGE));
	EXPECT_EQ(0, enable_count(HUGE));
}
