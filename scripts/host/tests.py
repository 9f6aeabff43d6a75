# SPDX-License-Identifier: GPL-2.0
"""The tests: which program of guest/ runs on which devices, and what the host does meanwhile.
Those with a host that does more have a file of their own.
"""
import os
import socket
import struct
import subprocess
import threading

import cost
import judge
from drm import drm
from hotplug import hotplug
from iommu import iommu
from rust import rust
from shared import CPUS, GIB, MIB, PAGE, ivshmem, may_skip
from two_guests import mailbox


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


def faults(run):
    four = Four(run)
    args, append, memory = four.devices(), four.append, "1024"
    if run.kernel.arch == "x86_64":
        args += ["-cpu", CPUS["1G"]]
        if run.kernel.source_has("samples/pci/ivshmem_sample.c", "vmf_insert_pfn_pud"):
            append += " LEAVES=1G"
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


# On 64 bits, a size_t holds the length of any BAR.
KUNIT_64_BIT = ["*.refuse_length_over_size_t"]
# And the bus in software is one of x86, arm64 and UML.
KUNIT_BUS = ["pci_kunit_bus.*", "pci_enable_scope.*", "pci_shmem_bar_bus.*"]
# Here are BARs that can be mapped: sample does it.
KUNIT_UML = ["*.refuse_on_uml"]
KUNIT_SKIPS = (dict.fromkeys(("x86_64", "arm64"), KUNIT_64_BIT + KUNIT_UML) |
               dict.fromkeys(("riscv64", "ppc64"), KUNIT_64_BIT + KUNIT_UML + KUNIT_BUS) |
               {"i386": KUNIT_UML})


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

TESTS = {test.__name__: test for test in
         (sample, stress, limits, unassigned, faults, walk, vfio, kunit, iommu, hotplug, rust, mailbox, drm, bench)}
