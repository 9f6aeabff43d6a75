// SPDX-License-Identifier: GPL-2.0
/*
 * Boot test of the sample in Rust, on an ivshmem device of which the host writes the first
 * page and looks at the second one; and of a BAR that late.ko keeps too long.
 */

#define DRIVER	"rust_driver_ivshmem"
#include "one_device.h"

#define SMALL	"0000:00:06.0"	/* a page, where the driver wants two */
#define LATE	"/sys/bus/pci/drivers/late"

/* What binding leaves, and what is left after unbinding: nothing */
static bool is_held(const char *dev, const char *name)
{
	return is_claimed(dev, name) && is_mapped(bar_start(dev)) && enable_count(dev) == 1;
}

static bool is_free(const char *dev)
{
	return !is_claimed(dev, NULL) && !is_mapped(bar_start(dev)) && enable_count(dev) == 0;
}

static bool answers(unsigned int len)
{
	return host_does("greet %u", len) && !bind_driver(DEV) && host_does("answered");
}

FIXTURE(rust) {
};

FIXTURE_SETUP(rust)
{
	modprobe(DRIVER);
	unbind_driver(DEV);
	ASSERT_TRUE(is_free(DEV));
}

FIXTURE_TEARDOWN(rust)
{
}

/* From none to the longest text there can be, each in a new binding */
TEST_F(rust, answers)
{
	static const unsigned int lens[] = { 5, 0, 1, 4092, 100 };
	int i;

	for (i = 0; i < 5; i++) {
		ASSERT_TRUE(answers(lens[i])) TH_LOG("%u bytes", lens[i]);
		EXPECT_TRUE(is_held(DEV, DRIVER));
		ASSERT_EQ(0, unbind_driver(DEV));
		EXPECT_TRUE(host_does("taken_back"));
		EXPECT_TRUE(is_free(DEV)) TH_LOG("enable %d", enable_count(DEV));
	}
}

/* A length that does not fit: the driver must not follow it. */
TEST_F(rust, refuses_a_long_text)
{
	static const unsigned int lens[] = { 4093, 0x7fffffff, 0xffffffff };
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(host_does("pretend %u", lens[i]));
		EXPECT_EQ(-EINVAL, bind_driver(DEV)) TH_LOG("%u bytes", lens[i]);
		EXPECT_TRUE(host_does("untouched"));
		EXPECT_TRUE(is_free(DEV));
	}
}

TEST_F(rust, refuses_a_short_bar)
{
	EXPECT_EQ(-EINVAL, bind_driver(SMALL));
	EXPECT_TRUE(is_free(SMALL));
}

TEST_F(rust, refuses_a_claimed_bar)
{
	ASSERT_EQ(0, claim("dev=" DEV));
	EXPECT_EQ(-EBUSY, bind_driver(DEV));
	EXPECT_EQ(0, enable_count(DEV));
	EXPECT_TRUE(is_claimed(DEV, "claim"));
	ASSERT_EQ(0, rmmod("claim"));
	EXPECT_TRUE(answers(7));
}

/* The device goes with the driver bound, and comes back to it. */
TEST_F(rust, remove_and_rescan)
{
	int i;

	for (i = 0; i < 3; i++) {
		ASSERT_TRUE(answers(11 + i));
		ASSERT_EQ(0, spew(dev_path(DEV, "remove"), "1"));
		EXPECT_TRUE(host_does("taken_back"));
		EXPECT_FALSE(in_iomem(DRIVER));
		EXPECT_FALSE(in_iomem(DEV));
		ASSERT_TRUE(host_does("greet 20"));
		ASSERT_EQ(0, spew("/sys/bus/pci/rescan", "1"));
		EXPECT_TRUE(host_does("answered"));
		EXPECT_TRUE(is_held(DEV, DRIVER));
		ASSERT_EQ(0, unbind_driver(DEV));
	}
}

TEST_F(rust, rmmod_while_bound)
{
	ASSERT_TRUE(answers(30));
	ASSERT_EQ(0, rmmod(DRIVER));
	EXPECT_TRUE(host_does("taken_back"));
	EXPECT_TRUE(is_free(DEV));
	/* Nothing but its name brings it back: it has no alias. */
	ASSERT_TRUE(host_does("greet 31"));
	ASSERT_EQ(0, modprobe(DRIVER));
	EXPECT_TRUE(host_does("answered"));
}

/* What late.ko has kept of the memory, or why it has nothing */
static const char *late(void)
{
	static char buf[64];

	if (slurp("/sys/kernel/debug/late/word", buf, sizeof(buf)) <= 0)
		return "nothing";
	return buf;
}

TEST_F(rust, nothing_after_unbind)
{
	ASSERT_EQ(0, rmmod(DRIVER));
	ASSERT_TRUE(host_does("pretend %u", 0x1234));
	ASSERT_EQ(0, insmod("/late.ko", ""));
	/* It has both devices: the last one is kept, and that of the other dropped. */
	spew(LATE "/unbind", SMALL);
	spew(LATE "/unbind", DEV);
	EXPECT_STREQ("revoked\n", late());
	EXPECT_TRUE(is_free(DEV));
	EXPECT_TRUE(is_free(SMALL));

	ASSERT_EQ(0, spew(LATE "/bind", DEV));
	EXPECT_STREQ("0x1234 of 1048576 bytes\n", late());
	EXPECT_TRUE(is_held(DEV, "late"));
	ASSERT_EQ(0, spew(LATE "/unbind", DEV));
	EXPECT_STREQ("revoked\n", late());
	EXPECT_TRUE(is_free(DEV));

	/* Dropped before the device is unbound: by the object of another one */
	ASSERT_EQ(0, spew(LATE "/bind", DEV));
	ASSERT_EQ(0, spew(LATE "/bind", SMALL));
	EXPECT_FALSE(is_claimed(DEV, NULL));
	EXPECT_FALSE(is_mapped(bar_start(DEV)));
	EXPECT_TRUE(is_held(SMALL, "late"));

	/* Removed with the device, and asked for after that */
	ASSERT_EQ(0, spew(LATE "/unbind", DEV));
	ASSERT_EQ(0, spew(LATE "/bind", DEV));
	ASSERT_EQ(0, spew(dev_path(DEV, "remove"), "1"));
	EXPECT_STREQ("revoked\n", late());
	EXPECT_FALSE(in_iomem("late"));
	ASSERT_EQ(0, spew("/sys/bus/pci/rescan", "1"));
	EXPECT_STREQ("0x1234 of 1048576 bytes\n", late());

	ASSERT_EQ(0, rmmod("late"));
	EXPECT_TRUE(is_free(DEV));
	EXPECT_TRUE(is_free(SMALL));
}

TEST_F(rust, no_leaks)
{
	EXPECT_NO_LEAKS();
}
