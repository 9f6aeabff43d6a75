#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run hotplug or mailbox in QEMU:
soak.py hotplug|mailbox KERNEL INITRAMFS OUTDIR COUNT [SEED]

Leaves OUTDIR/<guest>.ktap and OUTDIR/<guest>.log (the console).
"""
import json
import mmap
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

SILENT = 180	# seconds without a word from a guest, or an answer from QEMU
PAGE = 4096
MASK = (1 << 64) - 1
APPEND = ("console=ttyS0 panic=-1 oops=panic panic_on_warn=1 "
          "hung_task_panic=1 softlockup_panic=1")
# What a console must not say
with open(os.path.join(os.path.dirname(__file__), "complaints.re")) as file:
    COMPLAINTS = file.read().strip()


class Qmp:
    def __init__(self, sock):
        self.file = sock.makefile("rw")
        self.events = []
        self.read()
        self.call("qmp_capabilities")

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("QEMU has gone")
        return json.loads(line)

    def call(self, name, **args):
        print(json.dumps({"execute": name, "arguments": args}), file=self.file, flush=True)
        while "event" in (answer := self.read()):
            self.events.append(answer)
        if "error" in answer:
            print(f"{name}: {answer['error']['desc']}")
        return "return" in answer

    def wait_event(self, name, device):
        while True:
            for event in self.events:
                if event["event"] == name and event["data"].get("device") == device:
                    self.events.remove(event)
                    return
            self.events.append(self.read())


class Guest(threading.Thread):
    """A QEMU process, and a thread that hears what its guest says."""
    started = []

    def __init__(self, name, machine, args, append, handler=None):
        super().__init__(name=name, daemon=True)
        kernel, initramfs, outdir = sys.argv[2:5]
        self.out = os.path.join(outdir, name)
        self.handler = handler
        self.error = None
        self.killed = False
        self.ktap, ktap = socket.socketpair()
        self.qmp, qmp = socket.socketpair()
        self.ktap.settimeout(SILENT)
        self.qmp.settimeout(SILENT)
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-M", machine, "-accel", "tcg", "-smp", "2", "-m", "512M",
             "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
             "-kernel", kernel, "-initrd", initramfs, "-append", f"{APPEND} {append}",
             "-serial", f"file:{self.out}.log",
             "-chardev", f"socket,id=ktap,fd={ktap.fileno()}",
             "-serial", "chardev:ktap",
             "-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "qmp,mode=control", *args],
            stdin=subprocess.DEVNULL, pass_fds=(ktap.fileno(), qmp.fileno()))
        ktap.close()
        qmp.close()
        self.started.append(self)
        self.start()

    def run(self):
        try:
            # Not by QEMU's logfile=: it repeats what the socket does not take at once
            with open(f"{self.out}.ktap", "w", buffering=1) as log:
                self.qmp = Qmp(self.qmp)
                for line in self.ktap.makefile(errors="replace"):
                    log.write(line)
                    if line.startswith("# host: "):
                        self.ktap.sendall(b"y" if self.handler(*line[8:].split()) else b"n")
                    elif line.startswith("# result: "):
                        print(line[10:], end="")
            self.process.wait(SILENT)
        except (OSError, subprocess.TimeoutExpired) as error:
            self.error = error
        finally:
            self.process.kill()
            self.process.wait()

    def kill(self):
        self.killed = True
        self.process.kill()
        self.join()

    def is_good(self, tests):
        """No complaint, and these tests passed, or were skipped; not if it was killed."""
        with open(f"{self.out}.ktap", errors="replace") as file:
            ktap = file.read()
        with open(f"{self.out}.log", errors="replace") as file:
            why = re.findall(rf"^.*(?:{COMPLAINTS}).*$", file.read(), re.M)[:1]
        if self.error and not self.killed:
            why.append(repr(self.error))
        why += re.findall(r"^not ok .*$", ktap, re.M)
        if not self.killed:
            why += [f"no {test}" for test in tests
                    if not re.search(rf"^ok \d+ {re.escape(test)}\b", ktap, re.M)]
        print(f"{self.name}: {'; '.join(why).strip() or 'good'}")
        return not why


def pattern_word(seed, index):
    """As in pattern.h"""
    z = (seed + (index + 1) * 0x9e3779b97f4a7c15) & MASK
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
    return z ^ (z >> 31)


class Hotplug:
    """Serves hotplug.c; the layout is described there."""
    PAGES = 128
    READ_PAGES = 32

    def __init__(self, outdir, count, seed):
        self.dir = outdir
        self.seed = seed
        self.guest = Guest("hotplug", "pc", [], f"-- {seed} {count}", self.serve)

    def path(self, gen):
        return os.path.join(self.dir, f"memory-{gen}")

    def fill(self, gen, page):
        return struct.pack("<Q511Q", gen, *(pattern_word(self.seed ^ gen, page * 512 + i)
                                            for i in range(1, 512)))

    def holds_its_own(self, gen):
        """Only the generation's own words are in it, and those to read are all there."""
        with open(self.path(gen), "rb") as file:
            for page in range(self.PAGES):
                have = file.read(PAGE)
                if page >= self.READ_PAGES and have == bytes(PAGE):
                    continue
                want = self.fill(gen, page)
                # A page may have been half written
                if have != want and (page < self.READ_PAGES or any(
                        word not in (bytes(8), want[i * 8:i * 8 + 8])
                        for i, word in enumerate(struct.unpack("8s" * 512, have)))):
                    print(f"memory {gen}: page {page} is wrong")
                    return False
        return True

    def serve(self, what, gen):
        gen = int(gen)
        qmp = self.guest.qmp
        if what == "plug":
            with open(self.path(gen), "wb") as file:
                for page in range(self.READ_PAGES):
                    file.write(self.fill(gen, page))
                file.truncate(self.PAGES * PAGE)
            # A memory that was in use once cannot be used again: QEMU aborts
            return (qmp.call("object-add", **{"qom-type": "memory-backend-file"}, id=f"mem{gen}",
                             share=True, size=self.PAGES * PAGE, **{"mem-path": self.path(gen)})
                    and qmp.call("device_add", driver="ivshmem-plain", id=f"dev{gen}",
                                 memdev=f"mem{gen}", addr="5"))
        if what == "unplug":
            if not qmp.call("device_del", id=f"dev{gen}"):
                return False
            qmp.wait_event("DEVICE_DELETED", f"dev{gen}")
            qmp.call("object-del", id=f"mem{gen}")
            if not self.holds_its_own(gen):
                return False
            os.unlink(self.path(gen))
            return True
        return what == "look" and self.holds_its_own(gen)


def hotplug(outdir, count, seed):
    guest = Hotplug(outdir, count, seed).guest
    guest.join()
    return guest.is_good(["hotplug.under_use", "afterwards.works", "afterwards.no_leaks"])


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


def mailbox(outdir, count, seed):
    path = os.path.join(outdir, "memory")
    box = Mailbox(path, seed)
    args = ["-object", f"memory-backend-file,id=mem,share=on,mem-path={path},size={box.SIZE}",
            "-device", "ivshmem-plain,memdev=mem,addr=5"]

    def guest(name, limit):
        return Guest(name, "q35", args, f"ROLE={name[0]} LIMIT={limit} -- {seed} {count}")

    # a is unbound before it has sent half of its messages, b killed later, when
    # it has sent more than that and, as it stops at 3/4, not yet all.
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
        each.join()
    if not killed:
        print("b was not killed in the middle")
    good = all([each.is_good(["mailbox.exchange", "mailbox.last_messages"]) for each in guests])
    complete = all(box.ack(sender) == count and
                   all(box.holds(sender, n) for n in range(max(1, count - 63), count + 1))
                   for sender in "ab")
    print(f"host: the last messages are {'there' if complete else 'missing or wrong'}")
    return killed and good and complete


def main():
    what, outdir = sys.argv[1], sys.argv[4]
    count = int(sys.argv[5])
    seed = int(sys.argv[6]) if len(sys.argv) > 6 else random.getrandbits(32)
    os.makedirs(outdir, exist_ok=True)
    print(f"seed {seed}")
    # No QEMU may outlive this, not even if it is told to end
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        return {"hotplug": hotplug, "mailbox": mailbox}[what](outdir, count, seed)
    finally:
        for guest in Guest.started:
            guest.process.kill()


if __name__ == "__main__":
    sys.exit(not main())
