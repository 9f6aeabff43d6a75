# SPDX-License-Identifier: GPL-2.0
"""rust: the host's page, and the one of the driver"""
import mmap
import random
import struct

import judge
from shared import MIB, PAGE, ivshmem, may_skip


class Greeting:
    """The memory of samples/rust/rust_driver_ivshmem.rs; its layout is described there."""
    SIZE = MIB

    def __init__(self, run):
        self.path = run.path("greeting")
        with open(self.path, "wb") as file:
            file.truncate(self.SIZE)
        with open(self.path, "r+b") as file:
            self.mem = mmap.mmap(file.fileno(), self.SIZE)
        self.random = random.Random(run.seed)
        self.text = b""

    def write(self, length):
        """A new text in the first page, and rubbish in the second"""
        self.text = bytes(self.random.choices(range(256), k=min(length, PAGE - 4)))
        self.mem[:PAGE] = (struct.pack("<I", length) + self.text).ljust(PAGE, b"~")
        self.mem[PAGE:2 * PAGE] = b"?" * PAGE
        return True

    def holds(self, length, text):
        answer = struct.pack("<I", length) + text
        return (self.mem[PAGE:2 * PAGE] == answer.ljust(PAGE, b"?") and
                self.mem[:PAGE] == (struct.pack("<I", len(self.text)) + self.text).ljust(PAGE, b"~"))

    def serve(self, _guest, what, length="0"):
        match what:
            case "greet" | "pretend":
                return self.write(int(length))
            case "answered":
                return self.holds(len(self.text), self.text.upper())
            case "taken_back":
                return self.holds(0, self.text.upper())
            case "untouched":
                return self.mem[PAGE:2 * PAGE] == b"?" * PAGE
        return False


# What the kernel has to say of probes that fail, of which user space gets the number, too
REFUSED = [("5.0", -16), ("5.0", -22), ("6.0", -22)]


def rust(run):
    greeting = Greeting(run)
    guest = run.boot("guest", [*ivshmem("greeting", greeting.path, Greeting.SIZE, "addr=5"),
                               "-object", "memory-backend-ram,id=small,size=4K",
                               "-device", "ivshmem-plain,memdev=small,addr=6"],
                     "kunit.enable=0", serve=greeting.serve)
    run.judge(guest, may_skip=may_skip(run))
    console = judge.read(f"{guest.out}.console")
    for place, error in REFUSED:
        text = f"rust_driver_ivshmem 0000:00:0{place}: probe with driver rust_driver_ivshmem failed with error {error}"
        run.results.check(f"log: {place}: {error}", text in console)
