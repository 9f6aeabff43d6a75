// SPDX-License-Identifier: GPL-2.0
/*
 * Two guests pass messages to each other through the memory they share.
 *
 * The host, host/two_guests.py, gives each a role, a or b, and a limit, where to
 * stop sending in this boot.  What a guest needs to go on after its driver was
 * unbound, or after a reset at any instruction, is in the shared memory only.
 *
 * Message n, from 1, is in slot n % SLOTS.  The slot's sequence number is odd
 * while the sender writes and 2 * n when the message is there.  The receiver
 * acknowledges what it has taken, in order; the sender may be SLOTS ahead.
 */

#include "one_device.h"

#include <endian.h>

/* Also in host/two_guests.py.  All fields are little-endian. */
#define SLOTS		64
#define BODY		7
#define SIZE		(16 * PAGE)
#define CHANNEL_SIZE	(2 * PAGE)

struct channel {
	uint32_t ack;
	uint32_t pad[15];
	struct slot {
		uint32_t seq;
		uint32_t pad;
		uint64_t body[BODY];
	} slot[SLOTS];
};

enum { DONE, WRONG, STALLED };

/* The kernel passes parameters that it does not know to init, which this is. */
static uint32_t count, limit;
static char role;

/*
 * Acquire: what follows is not read before.  Release: what is before is seen
 * before.  In the kernel these are smp_load_acquire() and smp_store_release();
 * virt_load_acquire() and so on if a guest may be built for one processor only.
 */
static uint32_t load_acquire(const uint32_t *p)
{
	return le32toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static void store_release(uint32_t *p, uint32_t val)
{
	__atomic_store_n(p, htole32(val), __ATOMIC_RELEASE);
}

static uint64_t body_word(char sender, uint32_t n, int i)
{
	return pattern_word(seed ^ sender, (uint64_t)n * BODY + i);
}

static bool try_send(struct channel *ch, uint32_t n)
{
	struct slot *slot = &ch->slot[n % SLOTS];

	/* Pairs with the release of ack: the receiver has read the slot. */
	if (n > limit || n - load_acquire(&ch->ack) > SLOTS)
		return false;
	/* An earlier run of this program may have got as far as that. */
	if (load_acquire(&slot->seq) == 2 * n)
		return true;

	__atomic_store_n(&slot->seq, htole32(2 * n - 1), __ATOMIC_RELAXED);
	/* smp_wmb(): the odd number is seen before any of the new body. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (int i = 0; i < BODY; i++)
		__atomic_store_n(&slot->body[i], htole64(body_word(role, n, i)), __ATOMIC_RELAXED);
	store_release(&slot->seq, 2 * n);
	return true;
}

static bool try_receive(struct channel *ch, char sender, uint32_t n)
{
	struct slot *slot = &ch->slot[n % SLOTS];
	uint32_t seq = load_acquire(&slot->seq);
	uint64_t body[BODY];

	if (seq != 2 * n) {
		/* Still the message before in this slot, or half of this one? */
		if (seq == 2 * n - 1 || seq == (n > SLOTS ? 2 * (n - SLOTS) : 0))
			return false;
		say("# sequence number %u of message %u\n", seq, n);
		_exit(WRONG);
	}
	for (int i = 0; i < BODY; i++)
		body[i] = le64toh(__atomic_load_n(&slot->body[i], __ATOMIC_RELAXED));
	/* smp_rmb(): a body that changed meanwhile shows in the number. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (le32toh(__atomic_load_n(&slot->seq, __ATOMIC_RELAXED)) != seq)
		return false;

	for (int i = 0; i < BODY; i++) {
		if (body[i] == body_word(sender, n, i))
			continue;
		say("# word %d of message %u: %#llx\n", i, n, (unsigned long long)body[i]);
		_exit(WRONG);
	}
	store_release(&ch->ack, n);
	return true;
}

/* A child's life: until all is done, or SIGBUS. */
static void exchange(char *map)
{
	struct channel *out = (void *)(map + (role == 'b') * CHANNEL_SIZE);
	struct channel *in = (void *)(map + (role == 'a') * CHANNEL_SIZE);
	uint32_t sent = load_acquire(&out->ack), received = load_acquire(&in->ack);
	uint64_t end = 0;
	int idle = 0;

	say("# %c goes on after %u sent and %u received\n", role, sent, received);
	while (received < count || load_acquire(&out->ack) < count) {
		bool busy = false;

		if (received % 1024 == 0)
			progress(received, count);
		if (sent < count && try_send(out, sent + 1)) {
			sent++;
			busy = true;
		}
		if (received < count && try_receive(in, role ^ 'a' ^ 'b', received + 1)) {
			received++;
			busy = true;
		}
		if (busy) {
			idle = 0;
		} else if (++idle > 1000) {
			/* The other may be booting */
			if (idle == 1001)
				end = now_ms() + 240000 * SLOW;
			if (now_ms() > end)
				_exit(STALLED);
			usleep(1000);
		}
	}
	_exit(DONE);
}

FIXTURE(mailbox) {
	int fd;
};

FIXTURE_SETUP(mailbox)
{
	ASSERT_NE(NULL, getenv("ROLE"));
	ASSERT_NE(NULL, getenv("LIMIT"));
	role = *getenv("ROLE");
	limit = atoi(getenv("LIMIT"));
	count = rounds;

	modprobe(DRIVER);	/* which fails if it is built in */
	ASSERT_TRUE(is_bound(DEV));
	self->fd = open_shmem();
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(mailbox)
{
	close(self->fd);
}

static pid_t start(int fd)
{
	pid_t pid = fork();
	void *map;

	if (pid)
		return pid;
	map = map_shmem(fd, SIZE);
	if (map == MAP_FAILED)
		_exit(errno);
	exchange(map);
	return 0;
}

/* How many messages this guest has received, by another way than the mapping */
static uint32_t received_so_far(int fd)
{
	uint32_t ack = 0;

	read_at(fd, &ack, sizeof(ack), (role == 'a') * CHANNEL_SIZE);
	return le32toh(ack);
}

TEST_F_TIMEOUT(mailbox, exchange, 24 * 3600)
{
	uint32_t ack;
	int status;
	pid_t pid;

	pid = start(self->fd);
	if (role == 'a') {
		/* Sending stops at half until this is done. */
		while (received_so_far(self->fd) < count / 4) {
			ASSERT_EQ(0, waitpid(pid, &status, WNOHANG));
			usleep(1000);
		}
		ASSERT_EQ(0, unbind_driver(DEV));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		ASSERT_TRUE(WIFSIGNALED(status)) TH_LOG("status %#x", status);
		ASSERT_EQ(SIGBUS, WTERMSIG(status));
		EXPECT_EQ(-ENODEV, read_at(self->fd, &ack, sizeof(ack), 0));
		EXPECT_EQ(-ENOENT, open_shmem());
		EXPECT_FALSE(in_iomem(DRIVER));
		close(self->fd);

		ASSERT_EQ(0, bind_driver(DEV));
		self->fd = open_shmem();
		ASSERT_GE(self->fd, 0);
		limit = count;
		pid = start(self->fd);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	ASSERT_TRUE(WIFEXITED(status));
	ASSERT_EQ(DONE, WEXITSTATUS(status));
}

/* What is left in the memory, as read() sees it */
TEST_F(mailbox, last_messages)
{
	static char mem[2 * CHANNEL_SIZE];

	/* sysfs reads a page at a time. */
	for (size_t off = 0; off < sizeof(mem); off += PAGE)
		ASSERT_EQ(PAGE, read_at(self->fd, mem + off, PAGE, off));

	for (char sender = 'a'; sender <= 'b'; sender++) {
		const struct channel *ch = (void *)(mem + (sender == 'b') * CHANNEL_SIZE);

		ASSERT_EQ(count, le32toh(ch->ack));
		for (uint32_t n = count; n && count - n < SLOTS; n--) {
			ASSERT_EQ(2 * n, le32toh(ch->slot[n % SLOTS].seq));
			for (int i = 0; i < BODY; i++)
				ASSERT_EQ(body_word(sender, n, i),
					  le64toh(ch->slot[n % SLOTS].body[i]));
		}
	}
}
