# SPDX-License-Identifier: GPL-2.0
"""mailbox: two guests, one memory"""
import mmap
import struct
import time

from shared import PAGE, ivshmem, pattern_word


class Mailbox:
    """The memory of mailbox.c; the layout is described there."""
    SIZE = 16 * PAGE
    SLOTS = 64
    SLOT = struct.Struct("<II7Q")

    def __init__(self, path, seed):
        self.seed = seed
        with open(path, "wb") as file:
            file.truncate(self.SIZE)
        with open(path, "r+b") as file:
            self.mem = mmap.mmap(file.fileno(), self.SIZE)

    def ack(self, sender):
        return struct.unpack_from("<I", self.mem, "ab".index(sender) * 2 * PAGE)[0]

    def offset(self, sender, n):
        return "ab".index(sender) * 2 * PAGE + 64 + n % self.SLOTS * self.SLOT.size

    def message(self, sender, n):
        return self.SLOT.pack(2 * n, 0, *(pattern_word(self.seed ^ ord(sender), n * 7 + i)
                                          for i in range(7)))

    def holds(self, sender, n):
        offset = self.offset(sender, n)
        return self.mem[offset:offset + self.SLOT.size] == self.message(sender, n)

    def write_half(self, sender, n):
        """As if the sender had died in the middle of message n"""
        self.SLOT.pack_into(self.mem, self.offset(sender, n), 2 * n - 1, 0, *range(7))


def wait_until(condition, guests):
    """Not longer than the guests live."""
    while all(guest.is_alive() for guest in guests):
        if condition():
            return True
        time.sleep(0.001)
    return False


def mailbox(run):
    box = Mailbox(run.path("memory"), run.seed)
    args = ivshmem("mem", run.path("memory"), box.SIZE, "addr=5")

    def guest(name, limit):
        return run.boot(name, args, f"ROLE={name[0]} LIMIT={limit}", memory="512")

    # a is unbound before it has sent half of its messages, b killed later, when
    # it has sent more than that and, as it stops at 3/4, not yet all.
    count = run.count
    guests = [guest("a", count // 2), guest("b", count * 3 // 4)]
    killed = False
    if wait_until(lambda: min(map(box.ack, "ab")) >= count * 5 // 8, guests):
        guests[1].kill()
        print(f"b killed after {box.ack('b')} sent and {box.ack('a')} received")
        # a goes on and takes what b had sent
        after = box.ack("b")
        while box.holds("b", after + 1):
            after += 1
        killed = (max(map(box.ack, "ab")) < count and
                  wait_until(lambda: box.ack("b") == after, guests[:1]))
        box.write_half("b", after + 1)
        guests.append(guest("b-again", count))
    for each in guests:
        run.judge(each, prefix=f"{each.name}: ")
    run.results.check("host: b was killed in the middle", killed)
    run.results.check("host: the last messages are there", all(
        box.ack(sender) == count and
        all(box.holds(sender, n) for n in range(max(1, count - 63), count + 1))
        for sender in "ab"))
