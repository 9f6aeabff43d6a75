// SPDX-License-Identifier: GPL-2.0
/*
 * Tests the sample driver, and the helper through it.  Not for repetition: the
 * host looks at the memory when the guest has ended, so nothing but
 * write_pattern leaves anything behind in it.
 */

#include "guest.h"

/* Loading the driver, which udev does not do: others may want these devices */

FIXTURE(loading) { };
FIXTURE_SETUP(loading) { }
FIXTURE_TEARDOWN(loading) { }

static bool built_in(void)
{
	return !access(DRIVER_DIR, F_OK) && access("/sys/module/" DRIVER "/initstate", F_OK);
}

TEST_F(loading, modprobe)
{
	char alias[128];
	int len;

	if (built_in())
		SKIP(return, DRIVER " is built in");
	ASSERT_FALSE(is_claimed(LOW, NULL));
	len = slurp(dev_path(LOW, "modalias"), alias, sizeof(alias));
	ASSERT_GT(len, 0);
	alias[len - 1] = '\0';
	EXPECT_NE(0, modprobe(alias));
	EXPECT_FALSE(is_bound(LOW));
	ASSERT_EQ(0, modprobe(DRIVER));
	EXPECT_TRUE(is_bound(LOW));
}

/* Each of the two real devices */

FIXTURE(shmem) {
	uint64_t start, len, seed;
	int fd;
	char *map;
};

FIXTURE_VARIANT(shmem) {
	const char *dev;
};

FIXTURE_VARIANT_ADD(shmem, below_4g) { .dev = LOW };
FIXTURE_VARIANT_ADD(shmem, above_4g) { .dev = HIGH };

FIXTURE_SETUP(shmem)
{
	self->start = bar_start(variant->dev);
	self->len = bar_size(variant->dev);
	self->seed = seed ^ self->len;
	ASSERT_TRUE(is_bound(variant->dev));
	self->fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(self->fd, 0);
	self->map = mmap(NULL, self->len, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->map);
}

FIXTURE_TEARDOWN(shmem)
{
	munmap(self->map, self->len);
	close(self->fd);
}

TEST_F(shmem, bound)
{
	struct stat st;

#ifdef __x86_64__
	EXPECT_EQ(!strcmp(variant->dev, HIGH), self->start >= 1ULL << 32);
#endif
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
	EXPECT_TRUE(is_mapped(self->start));
	EXPECT_EQ(1, enable_count(variant->dev));
	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_EQ(self->len, st.st_size);
	EXPECT_EQ(0600, st.st_mode & 07777);
}

TEST_F(shmem, cache_mode)
{
	const char *mode;

	if (access("/sys/kernel/debug/x86", F_OK))
		SKIP(return, "only x86 shows it");
	mode = cache_mode(self->start);
	ASSERT_NE(NULL, mode);
	say("# result: BAR at %#llx: asked for write-back, got %s\n",
	    (unsigned long long)self->start, mode);
	/* Below 4 GiB, the firmware's MTRR says uncached */
	EXPECT_STREQ(self->start >> 32 ? "write-back" : "uncached-minus", mode);
}

TEST_F(shmem, read_pattern)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS], i, page;

	for (i = 0; i < pattern_pages(self->len); i++) {
		page = pattern_page(self->seed, self->len, i);
		pattern_fill(want, self->seed, page);
		ASSERT_EQ(PAGE, read_at(self->fd, have, PAGE, page * PAGE));
		ASSERT_EQ(0, memcmp(have, want, PAGE))
			TH_LOG("read() of page %llu", (unsigned long long)page);
		ASSERT_EQ(0, memcmp(self->map + page * PAGE, want, PAGE))
			TH_LOG("mmap of page %llu", (unsigned long long)page);
	}
}

TEST_F(shmem, write_pattern)
{
	uint64_t want[PATTERN_WORDS], have[PATTERN_WORDS], i, page;
	const size_t half = PAGE / 2;
	char *src = (char *)want;

	for (i = 0; i < pattern_pages(self->len); i++) {
		if (!pattern_guest_writes(self->seed, self->len, i))
			continue;
		page = pattern_page(self->seed, self->len, i);
		pattern_fill(want, self->seed ^ PATTERN_GUEST, page);
		ASSERT_EQ(half, write_at(self->fd, src, half, page * PAGE));
		memcpy(self->map + page * PAGE + half, src + half, half);
		ASSERT_EQ(0, memcmp(self->map + page * PAGE, want, half))
			TH_LOG("write() to page %llu", (unsigned long long)page);
		ASSERT_EQ(PAGE, read_at(self->fd, have, PAGE, page * PAGE));
		ASSERT_EQ(0, memcmp(have, want, PAGE))
			TH_LOG("mmap of page %llu", (unsigned long long)page);
	}
}

TEST_F(shmem, unaligned)
{
	char saved[64], have[64];
	const char text[] = "across a page's end";
	const off_t off = PAGE - 7;

	memcpy(saved, self->map + off, sizeof(saved));
	ASSERT_EQ(sizeof(text), write_at(self->fd, text, sizeof(text), off));
	EXPECT_EQ(0, memcmp(self->map + off, text, sizeof(text)));
	EXPECT_EQ(sizeof(text), read_at(self->fd, have, sizeof(text), off));
	EXPECT_EQ(0, memcmp(have, text, sizeof(text)));
	EXPECT_EQ(0, memcmp(self->map + off + sizeof(text), saved + sizeof(text),
			    sizeof(saved) - sizeof(text)));
	memcpy(self->map + off, saved, sizeof(saved));
}

TEST_F(shmem, refused_out_of_range)
{
	const int64_t end = self->len;
	char buf[64];

	EXPECT_EQ(0, read_at(self->fd, buf, sizeof(buf), end));
	EXPECT_EQ(0, read_at(self->fd, buf, sizeof(buf), end + PAGE));
	EXPECT_EQ(-EINVAL, read_at(self->fd, buf, sizeof(buf), -1));
	EXPECT_EQ(-EFBIG, write_at(self->fd, buf, sizeof(buf), end));
	EXPECT_EQ(-EFBIG, write_at(self->fd, buf, sizeof(buf), end + PAGE));

	/* Across the end: as far as there is memory */
	EXPECT_EQ(16, read_at(self->fd, buf, sizeof(buf), end - 16));
	EXPECT_EQ(16, write_at(self->fd, buf, sizeof(buf), end - 16));

	EXPECT_EQ(0, map_errno(self->fd, PAGE, MAP_SHARED, end - PAGE));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_SHARED, end));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, 2 * PAGE, MAP_SHARED, end - PAGE));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, end + PAGE, MAP_SHARED, 0));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_PRIVATE, 0));
}

TEST_F(shmem, hostile_user)
{
	char buf[16] = "";
	struct iovec to = { buf, sizeof(buf) }, from = { self->map, sizeof(buf) };
	pid_t pid = getpid();
	char *moved;
	int status;

	/* Offsets and lengths that make no sense */
	EXPECT_EQ(0, read_at(self->fd, buf, 0, 0));
	EXPECT_EQ(0, write_at(self->fd, buf, 0, 0));
	EXPECT_EQ(0, read_at(self->fd, buf, sizeof(buf), INT64_MAX - (int64_t)sizeof(buf)));
	EXPECT_EQ(-EINVAL, write_at(self->fd, buf, sizeof(buf), -1));
	EXPECT_EQ(-EFBIG, write_at(self->fd, buf, sizeof(buf), INT64_MAX - (int64_t)sizeof(buf)));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, 0, MAP_SHARED, 0));
#if __SIZEOF_LONG__ == 8	/* elsewhere mmap2(), which takes a number of pages */
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_SHARED, 1));
	EXPECT_EQ(-EINVAL, map_errno(self->fd, PAGE, MAP_SHARED, 1L << 62));
	EXPECT_EQ(-EOVERFLOW, map_errno(self->fd, PAGE, MAP_SHARED, -PAGE));
#endif

	/* The mapping cannot be executed, nor grow; it can shrink and move */
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, syscall(__NR_mprotect, self->map, PAGE, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(MAP_FAILED, mremap(self->map, self->len, self->len + PAGE, MREMAP_MAYMOVE, NULL));
	EXPECT_EQ(EFAULT, errno);
	moved = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, PAGE);
	ASSERT_NE(MAP_FAILED, moved);
	moved = mremap(moved, 2 * PAGE, PAGE, MREMAP_MAYMOVE, NULL);
	ASSERT_NE(MAP_FAILED, moved);
	moved = mremap(moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, moved + PAGE);
	ASSERT_NE(MAP_FAILED, moved);
	EXPECT_EQ(0, memcmp(moved, self->map + PAGE, PAGE));
	EXPECT_EQ(SIGSEGV, touch(moved - PAGE));

	/* A child has the same memory, not a copy */
	buf[0] = moved[0];
	if (!fork()) {
		moved[0] = ~moved[0];
		_exit(0);
	}
	wait(&status);
	EXPECT_EQ((char)~buf[0], self->map[PAGE]);
	self->map[PAGE] = buf[0];

	/* Nobody gets at pages, as there are none */
	EXPECT_EQ(-1, syscall(__NR_process_vm_readv, pid, &to, 1, &from, 1, 0));
	EXPECT_EQ(EFAULT, errno);

	EXPECT_EQ(0, syscall(__NR_mprotect, moved, PAGE, PROT_READ));
	EXPECT_EQ(0, touch(moved));
	EXPECT_EQ(0, syscall(__NR_mprotect, moved, PAGE, PROT_READ | PROT_WRITE));
	munmap(moved, PAGE);
}

TEST_F(shmem, second_claimant)
{
	char params[64];

	snprintf(params, sizeof(params), "dev=%s", variant->dev);
	EXPECT_EQ(-EBUSY, claim(params));

	/*
	 * Another cache mode than the one in use cannot be had: that mapping
	 * was tried before the claim if this is any other error.
	 */
	snprintf(params, sizeof(params), "dev=%s flags=%d", variant->dev, MEMREMAP_WC);
	EXPECT_EQ(-EBUSY, claim(params));
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
}

TEST_F(shmem, unbound_while_in_use)
{
	char buf[16], first = self->map[0];
	int fd;

	ASSERT_EQ(0, unbind_driver(variant->dev));
	EXPECT_FALSE(is_claimed(variant->dev, NULL));
	EXPECT_FALSE(is_mapped(self->start)) TH_LOG("still mapped");
	EXPECT_EQ(0, enable_count(variant->dev));
	EXPECT_EQ(-1, open(dev_path(variant->dev, "shmem"), O_RDWR));
	EXPECT_EQ(ENOENT, errno);

	EXPECT_EQ(-ENODEV, read_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(-ENODEV, write_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(-ENODEV, map_errno(self->fd, PAGE, MAP_SHARED, 0));
	EXPECT_EQ(SIGBUS, touch(self->map)) TH_LOG("a page used before");
	EXPECT_EQ(SIGBUS, touch(self->map + 5 * PAGE)) TH_LOG("a page not used before");

	/* What was cut off stays so, and the driver starts afresh. */
	ASSERT_EQ(0, bind_driver(variant->dev));
	EXPECT_TRUE(is_claimed(variant->dev, DRIVER));
	EXPECT_EQ(1, enable_count(variant->dev));
	EXPECT_EQ(-ENODEV, read_at(self->fd, buf, sizeof(buf), 0));
	EXPECT_EQ(SIGBUS, touch(self->map));
	fd = open(dev_path(variant->dev, "shmem"), O_RDWR);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(1, read_at(fd, buf, 1, 0));
	EXPECT_EQ(first, buf[0]);
	close(fd);
}

TEST_F(shmem, claimed_by_another)
{
	char params[64];

	ASSERT_EQ(0, unbind_driver(variant->dev));
	snprintf(params, sizeof(params), "dev=%s", variant->dev);
	ASSERT_EQ(0, claim(params));
	EXPECT_TRUE(is_claimed(variant->dev, "claim"));
	EXPECT_EQ(-EBUSY, bind_driver(variant->dev));
	EXPECT_EQ(0, enable_count(variant->dev));
	EXPECT_TRUE(is_claimed(variant->dev, "claim"));

	ASSERT_EQ(0, rmmod("claim"));
	EXPECT_FALSE(is_claimed(variant->dev, NULL));
	EXPECT_EQ(0, bind_driver(variant->dev));
}

/* The helper's error table, as far as these devices reach it */

FIXTURE(errors) { };

FIXTURE_SETUP(errors)
{
	ASSERT_EQ(0, unbind_driver(LOW));
}

FIXTURE_TEARDOWN(errors)
{
	EXPECT_FALSE(is_claimed(LOW, NULL));
	EXPECT_EQ(0, bind_driver(LOW));
}

TEST_F(errors, bar_index)
{
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " bar=-1"));
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " bar=6"));
	EXPECT_EQ(-ENXIO, claim("dev=" LOW " bar=1")) TH_LOG("not implemented");
	EXPECT_EQ(-ENXIO, claim("dev=" LOW " bar=3")) TH_LOG("upper half of BAR 2");
}

TEST_F(errors, io_port_bar)
{
	EXPECT_EQ(-EINVAL, claim("dev=" IOPORT " bar=1"));
}

TEST_F(errors, flags)
{
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=0"));
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=9")) TH_LOG("WB and ENC");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=16")) TH_LOG("DEC alone");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=33")) TH_LOG("WB and an unknown one");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=2")) TH_LOG("WT");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=5")) TH_LOG("WB and WC");
	EXPECT_EQ(-EINVAL, claim("dev=" LOW " flags=17")) TH_LOG("WB and DEC");
	EXPECT_EQ(0, claim("dev=" LOW " flags=4")) TH_LOG("WC");
	EXPECT_EQ(0, rmmod("claim"));
}

TEST_F(errors, min_len)
{
	unsigned long long size = bar_size(LOW);
	char params[64];

	snprintf(params, sizeof(params), "dev=" LOW " min_len=%llu", size + 1);
	EXPECT_EQ(-EINVAL, claim(params)) TH_LOG("one byte too many");
	snprintf(params, sizeof(params), "dev=" LOW " min_len=%llu", size);
	EXPECT_EQ(0, claim(params)) TH_LOG("all of it");
	EXPECT_EQ(0, rmmod("claim"));
}

/* The driver itself refuses a BAR that user space cannot map a page of. */
TEST_F(errors, short_bar)
{
	EXPECT_FALSE(is_bound(SHORT));
	EXPECT_EQ(-EINVAL, bind_driver(SHORT));
	EXPECT_FALSE(is_claimed(SHORT, NULL));
	EXPECT_EQ(0, enable_count(SHORT));
}

/* Last: take the driver away while both devices are in use */

FIXTURE(unloading) { };
FIXTURE_SETUP(unloading) { }
FIXTURE_TEARDOWN(unloading) { }

TEST_F(unloading, rmmod_while_bound)
{
	static const char * const devs[] = { LOW, HIGH };
	char buf[16], *map[2];
	int fd[2], i;

	if (built_in())
		SKIP(return, DRIVER " is built in");
	for (i = 0; i < 2; i++) {
		fd[i] = open(dev_path(devs[i], "shmem"), O_RDWR);
		ASSERT_GE(fd[i], 0);
		map[i] = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd[i], 0);
		ASSERT_NE(MAP_FAILED, map[i]);
		ASSERT_EQ(0, touch(map[i]));
	}
	ASSERT_EQ(0, rmmod(DRIVER));
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(-ENODEV, read_at(fd[i], buf, sizeof(buf), 0));
		EXPECT_EQ(SIGBUS, touch(map[i]));
		EXPECT_FALSE(is_claimed(devs[i], NULL));
		EXPECT_EQ(0, enable_count(devs[i]));
	}
	EXPECT_EQ(0, modprobe(DRIVER));
	EXPECT_TRUE(is_bound(LOW));
	EXPECT_TRUE(is_bound(HIGH));
}
