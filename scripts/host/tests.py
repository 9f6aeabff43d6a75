# SPDX-License-Identifier: GPL-2.0
"""The tests: which program of guest/ runs on which devices, what the host does meanwhile,
and which tests may be skipped.
"""
import fnmatch
import mmap
import os
import random
import socket
import struct
import subprocess
import threading
import time

import cards
import cost
import judge

PAGE = 4096
MASK = (1 << 64) - 1
MIB = 1 << 20
GIB = 1 << 30

# What may be skipped where.  Nothing is a module in these kernels, so that there is
# nothing to load or unload.
BUILT_IN = ["loading.modprobe", "unloading.rmmod_while_bound"]
NO_MODULES = ("i386", "arm64", "riscv64", "ppc64")
NO_PAT = ["shmem.*.cache_mode"]
NO_KMEMLEAK = ["*.no_leaks"]


def may_skip(run):
    kernel = run.kernel
    return ((BUILT_IN if kernel.name in NO_MODULES else []) +
            (NO_PAT if kernel.arch not in ("x86_64", "i386") else []) +
            (NO_KMEMLEAK if kernel.name not in ("debug", "rust-debug") else []))


def memory(name, path, size):
    return ["-object", f"memory-backend-file,id={name},share=on,mem-path={path},size={size}"]


def ivshmem(name, path, size, place):
    return memory(name, path, size) + ["-device", f"ivshmem-plain,memdev={name},{place}"]


def pattern_word(seed, index):
    """As in pattern.h"""
    z = (seed + (index + 1) * 0x9e3779b97f4a7c15) & MASK
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
    return z ^ (z >> 31)


# Processors with 1 GiB pages and without.  QEMU's "max" hangs now and then while it boots
CPUS = {"1G": "qemu64,pdpe1gb=on", "2M": "qemu64,pdpe1gb=off"}


# sample, stress, unassigned: two ivshmem devices and some to be refused

class Pair:
    """Two memories, filled by the host before the guest boots and checked afterwards"""

    def __init__(self, run):
        self.run = run
        self.tool = run.path("backing")
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", f"{judge.TOP}/scripts/host/backing.c",
                        "-o", self.tool], check=True)
        # KASAN has real memory for the shadow of a mapping, an eighth of its size.
        # A 32-bit kernel cannot map more than some hundred MiB.
        high = {"debug": GIB, "i386": 64 * MIB}.get(run.kernel.name, 8 * GIB)
        self.sizes = {"low": 16 * MIB, "high": high}
        # The 128 MiB a 32-bit kernel keeps for mappings are too little, or not in one piece
        self.append = "vmalloc=256M" if run.kernel.name == "i386" else ""
        for name in self.sizes:
            self.backing("fill", name)

    def backing(self, what, name):
        return subprocess.run([self.tool, what, self.run.path(name), str(self.sizes[name]),
                               str(self.run.seed)], check=False).returncode == 0

    def devices(self):
        # SeaBIOS moves all 64-bit BARs above 4 GiB if it has to move one.  It spares those
        # behind a bridge with a 32-bit prefetchable BAR, for which VGA is here.
        bridge, place = ["-device", "pci-bridge,id=bridge,chassis_nr=1,addr=4",
                         "-device", "secondary-vga,bus=bridge,addr=3"], "bus=bridge,addr=4"
        if self.run.kernel.arch == "ppc64":
            bridge, place = [], "addr=4"	# without SLOF, nobody numbers the bus behind a bridge
        return [*bridge,
                *ivshmem("low", self.run.path("low"), self.sizes["low"], place),
                *ivshmem("high", self.run.path("high"), self.sizes["high"], "addr=5"),
                "-object", "memory-backend-ram,id=short,size=2K",
                "-device", "ivshmem-plain,memdev=short,addr=6",
                "-device", "pci-testdev,addr=7"]

    def check(self):
        for name in self.sizes:
            self.run.results.check(f"host: {name} holds what the guest wrote",
                                   self.backing("check", name))


def sample(run):
    pair = Pair(run)
    run.judge(run.boot("guest", pair.devices(), pair.append), may_skip=may_skip(run))
    pair.check()


# KCSAN's kernel has no failing allocations.  The set of kernfs alone has no sample driver.
STRESS_SKIPS = {"kcsan": ["driver.every_allocation_fails"], "set": ["driver.*"]}


def stress(run):
    run.judge(run.boot("guest", Pair(run).devices(), parallel=True),
              may_skip=may_skip(run) + STRESS_SKIPS.get(run.kernel.name, []))


class Doorbell:
    """What ivshmem-doorbell wants: somebody who gives it the memory, and eventfds of those who
    ring.  Of each number on the line, QEMU's docs/specs/ivshmem-spec has the meaning."""

    def __init__(self, run):
        # Relative: the path of a socket is short
        self.path = os.path.relpath(run.path("doorbell"))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def args(self):
        return ["-chardev", f"socket,id=doorbell,path={self.path}",
                "-device", "ivshmem-doorbell,chardev=doorbell,vectors=1,addr=8"]

    def serve(self):
        device, _ = self.listener.accept()
        memory_fd = os.memfd_create("doorbell")
        os.truncate(memory_fd, MIB)
        # The version, its number, the memory, and its vector
        for number, fds in ((0, []), (0, []), (-1, [memory_fd]), (0, [os.eventfd(0)])):
            socket.send_fds(device, [struct.pack("<q", number)], fds)
        device.recv(1)		# until QEMU ends


def limits(run):
    # Two processors that really run at the same time, or no word is ever torn
    run.judge(run.boot("guest", Pair(run).devices() + Doorbell(run).args(), parallel=True))


def unassigned(run):
    # A BAR that fits nowhere spoils it for others above 4 GiB, so not always there
    with open(run.path("huge"), "wb") as file:
        file.truncate(1 << 40)
    run.judge(run.boot("guest", Pair(run).devices() +
                       ivshmem("huge", run.path("huge"), 1 << 40, "addr=8")))
    os.unlink(run.path("huge"))


class Four(Pair):
    """And two short ones; the low one is large enough to count faults in, here."""

    def __init__(self, run):
        super().__init__(run)
        # Not more in the high one either: a host may give all of a file space that is
        # written in many places.  But two leaves of 1 GiB where there are any: the first and the last
        high = 2 * GIB if run.kernel.arch == "x86_64" else min(self.sizes["high"], GIB)
        self.sizes.update(low=64 * MIB, high=high)
        for name in self.sizes:
            self.backing("fill", name)

    def devices(self):
        return [*super().devices(),
                *ivshmem("page", self.run.path("page"), PAGE, "addr=8"),
                *ivshmem("mib", self.run.path("mib"), MIB, "addr=9")]


SAMPLE = "samples/pci/ivshmem_sample.c"


def faults(run):
    four = Four(run)
    args, append, memory = four.devices(), four.append, "1024"
    if run.kernel.arch == "x86_64":
        args += ["-cpu", CPUS["1G"]]
        append += " LEAVES=1G" if run.kernel.source_has(SAMPLE, "vmf_insert_pfn_pud") else ""
        memory = "1536"
    run.judge(run.boot("guest", args, append, memory=memory), may_skip=may_skip(run))


def walk(run):
    faults(run)		# on the same devices


# vfio: a BAR mapped by vfio-pci, by processors with 1 GiB pages and without

def vfio(run):
    # The driver maps it, too, for which KASAN has real memory
    size = 2 * GIB if run.kernel.name == "debug" else 4 * GIB
    with open(run.path("memory"), "wb") as file:
        file.truncate(size)
    # The IOMMU comes before the devices it is for
    args = ["-device", "intel-iommu,intremap=off", *ivshmem("memory", run.path("memory"), size, "addr=5")]
    for name, cpu in CPUS.items():
        run.judge(run.boot(name, [*args, "-cpu", cpu],
                           "intel_iommu=on vfio_iommu_type1.allow_unsafe_interrupts=1", memory="1536"),
                  prefix=f"{name}: ")


def kunit(run):
    run.judge(run.boot("guest", []), may_skip=KUNIT_SKIPS.get(run.kernel.arch, []))


# iommu: a device whose DMA an IOMMU maps

def dmar_for_all():
    """An ACPI table that says, as those of most machines, that VT-d's unit is for all PCI devices.
    QEMU's lists them one by one."""
    unit = struct.pack("<HHBBHQ", 0, 16, 1, 0, 0, 0xfed90000)
    def table(checksum):
        # A revision later than QEMU's, or Linux would not take it
        return struct.pack("<4sIBB6s8sI4sI", b"DMAR", 48 + len(unit), 1, checksum, b"BOCHS ",
                           b"BXPC    ", 2, b"BXPC", 1) + bytes([38] + [0] * 11) + unit
    return table(-sum(table(0)) % 256)


def iommu(run):
    # Linux looks for tables in an archive before the initramfs
    root = run.path("tables")
    os.makedirs(f"{root}/kernel/firmware/acpi")
    with open(f"{root}/kernel/firmware/acpi/dmar.aml", "wb") as file:
        file.write(dmar_for_all())
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, check=True,
                             input=b"kernel/firmware/acpi/dmar.aml", stdout=subprocess.PIPE).stdout
    with open(run.path("initrd"), "wb") as file, open(run.path("initramfs.gz"), "rb") as initramfs:
        file.write(archive + initramfs.read())
    with open(run.path("memory"), "wb") as file:
        file.truncate(MIB)
    run.judge(run.boot("guest", [
        "-initrd", run.path("initrd"), "-device", "intel-iommu,intremap=off",
        *ivshmem("memory", run.path("memory"), MIB, "addr=5"),
        # On the last bus there can be
        "-device", "pxb-pcie,id=far,bus_nr=254", "-device", "pcie-root-port,bus=far,id=last,chassis=1,slot=1",
        "-device", "edu,bus=last"],
        "intel_iommu=on vfio_iommu_type1.allow_unsafe_interrupts=1"))


# On 64 bits, a size_t holds the length of any BAR.
KUNIT_64_BIT = ["*.refuse_length_over_size_t"]
# And the bus in software is one of x86, arm64 and UML.
KUNIT_BUS = ["pci_kunit_bus.*", "pci_enable_scope.*", "pci_shmem_bar_bus.*"]
# Here are BARs that can be mapped: sample does it.
KUNIT_UML = ["*.refuse_on_uml"]
KUNIT_SKIPS = (dict.fromkeys(("x86_64", "arm64"), KUNIT_64_BIT + KUNIT_UML) |
               dict.fromkeys(("riscv64", "ppc64"), KUNIT_64_BIT + KUNIT_UML + KUNIT_BUS) |
               {"i386": KUNIT_UML})


# hotplug: one device that comes and goes

class Hotplug:
    """Serves hotplug.c; the layout is described there."""
    PAGES = 128
    READ_PAGES = 32

    def __init__(self, run):
        self.run = run

    def path(self, gen):
        return self.run.path(f"memory-{gen}")

    def fill(self, gen, page):
        return struct.pack("<Q511Q", gen, *(pattern_word(self.run.seed ^ gen, page * 512 + i)
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

    def serve(self, guest, what, gen):
        gen = int(gen)
        qmp = guest.qmp
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


def hotplug(run):
    run.judge(run.boot("guest", [], serve=Hotplug(run).serve, machine="pc"),
              may_skip=may_skip(run))


# rust: the host's page, and the one of the driver

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


# mailbox: two guests, one memory

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


# drm: a boot for each of cards.py

def drm(run):
    def start(name, boot):
        screen = cards.Screen(run, name, boot.spare)
        devices = [arg for device in boot.devices for arg in ("-device", device)]
        return run.boot(name, devices + screen.args(), f"no_console_suspend {boot.append}",
                        screen.serve, machine=boot.machine, memory="512")

    boots = [(name, boot) for name, boot in cards.BOOTS.items()
             if fnmatch.fnmatch(name, run.only)
             and (boot.debug or run.kernel.name != "debug" or run.only != "*")]
    guests = []
    for item in boots:
        # Two at a time, as one guest does not keep two processors busy
        while sum(guest.is_alive() for guest in guests) == 2:
            time.sleep(0.2)
        guests.append(start(*item))
    for guest, (name, boot) in zip(guests, boots):
        run.judge(guest, prefix=f"{name}: ", may_skip=may_skip(run),
                  must_run=boot.must_run | {"afterwards.no_leaks"})


# bench: what mapping costs, in instructions

def bench(run):
    kvm = os.environ.get("ACCEL") == "kvm"
    cpus = {name: cpu.replace("qemu64", "host") if kvm else cpu for name, cpu in CPUS.items()}
    # Anonymous memory: a file would fill up the host's cache, or its disk
    args = []
    for i, size in enumerate(("4K", "16M", "4G", "64G")):
        args += ["-object", f"memory-backend-ram,id=m{size},size={size},reserve=off",
                 "-device", f"ivshmem-plain,memdev=m{size},addr={5 + i}"]
    append = "nokaslr norandmaps"
    run.seed = 0	# On the kernel's command line, whose length would make a difference
    if kvm:
        append += " TIMES=1"
    else:
        # A virtual clock that counts instructions, and nothing that differs from boot to boot
        args += ["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01,clock=vm", "-seed", "1"]
    guests = [run.boot(name, [*args, "-cpu", cpus[name]], append, cpus="1") for name in cpus]
    for guest in guests:
        user = {f"user.{what}" for what in ("resource2_wc", "tmpfs", "sample", "unbind")}
        run.judge(guest, prefix=f"{guest.name}: ",
                  must_run={"global.kernel"} | (user if guest.name == "1G" else set()))
    if not kvm:
        cost.check(run.results, cost.read(*(f"{guest.out}.ktap" for guest in guests)))


# How often those that repeat something do so, if nobody says
COUNTS = {"stress": 100, "walk": 300, "hotplug": 10, "mailbox": 10000}

TESTS = {test.__name__: (test.__name__, test) for test in
         (sample, stress, limits, unassigned, faults, walk, vfio, kunit, iommu, hotplug, rust, mailbox, drm, bench)}
