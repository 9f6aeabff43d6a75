# SPDX-License-Identifier: GPL-2.0
"""drm's guests: one for each of the devices QEMU has for the drivers that use the helper, and what
the host does for them.
"""
import fnmatch
import os
import re
import socket
import time
from typing import NamedTuple

import vm
from shared import may_skip


class Gdb:
    """Write to a ROM, which a monitor cannot do."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(vm.Guest.silent)
        self.sock.connect(path)
        self.data = b""

    def call(self, packet):
        self.sock.sendall(b"$%s#%02x" % (packet, sum(packet) & 255))
        while True:
            while not (reply := re.match(rb"[^$]*\$([^#]*)#..", self.data)):
                if not (data := self.sock.recv(4096)):
                    raise ConnectionError("QEMU has gone")
                self.data += data
            self.data = self.data[reply.end():]
            self.sock.sendall(b"+")
            # Connecting stops the guest, which is reported at any time
            if not reply[1].startswith(b"T"):
                return reply[1]

    def poke(self, addr, val):
        packet = b"M%x,4:%s" % (addr, val.to_bytes(4, "little").hex().encode())
        # The address is good on the CPU that runs the test only
        done = any(self.call(b"Hg%d" % cpu) == b"OK" and self.call(packet) == b"OK"
                   for cpu in (1, 2))
        self.call(b"D")
        self.sock.close()
        return done


def picture(width, height, seed):
    return b"P6\n%d %d\n255\n" % (width, height) + bytes(
        byte for y in range(height) for x in range(width)
        for byte in ((x + seed) & 255, y & 255, (x ^ y) & 255))


class Screen:
    """Serves drm.c."""

    def __init__(self, run, name, spare):
        self.ppm = run.path(f"{name}.ppm")
        # Relative: the path of a socket is short
        self.gdb = os.path.relpath(run.path(f"{name}.gdb"))
        self.spare = spare

    def args(self):
        return ["-chardev", f"socket,id=gdb,path={self.gdb},server=on,wait=off",
                "-gdb", "chardev:gdb"]

    def serve(self, guest, what, *args):
        return getattr(self, f"do_{what}")(guest.qmp, *args)

    def do_picture(self, qmp, card, *args):
        """The device draws in its own time."""
        want = picture(*map(int, args))
        for _ in range(50 * vm.SLOW):
            if qmp.call("screendump", filename=self.ppm, device=card):
                with open(self.ppm, "rb") as ppm:
                    if ppm.read() == want:
                        return True
            time.sleep(0.2)
        return False

    def do_poke(self, _, *args):
        return Gdb(self.gdb).poke(*(int(arg, 16) for arg in args))

    @staticmethod
    def do_wake(qmp):
        return qmp.wake_later()

    @staticmethod
    def do_unplug(qmp, card):
        return qmp.call("device_del", id=card)

    def do_plug(self, qmp, spare):
        driver, *props = self.spare.split(",")
        args = dict(prop.split("=") for prop in props)
        return args["id"] == spare and qmp.call("device_add", driver=driver, **args)


def qxl(*tests):
    return {"qxl." + test for test in (
        "claims", "picture", "rebind", "open_fd", "remove", "hostile_rom", "client") + tests}


class Boot(NamedTuple):
    devices: list
    must_run: set
    append: str = ""
    machine: str = "q35"
    spare: str = ""		# to be plugged in later: QEMU aborts if that is where one has been
    debug: bool = True		# also in the debug kernel, where it takes minutes; else if asked for by name


BOOTS = {
    "vmwgfx": Boot(["vmware-svga"], {"vmwgfx.claims", "vmwgfx.sizes"}),
    "qxl": Boot(["qxl,id=card"], qxl("suspend", "edge_rom"), "edge_rom=1"),
    # QEMU rounds this up, to a 16 MiB BAR 0
    "qxl-small": Boot(["qxl,id=card,ram_size_mb=1,vram_size_mb=1,vgamem_mb=1"], qxl(),
                         debug=False),
    "qxl-bar4": Boot(["qxl,id=card,vram64_size_mb=256"], qxl("suspend")),
    "qxl-vgacon": Boot(["qxl-vga,id=card"], qxl("takes_over", "suspend"), "firstfb=VGA+",
                          debug=False),
    "qxl-vesa": Boot(["qxl-vga,id=card"], qxl("takes_over", "suspend"),
                        "vga=0x317 firstfb=vesadrm", debug=False),
    "qxl-revision4": Boot(["qxl-vga,id=card,revision=4"], qxl("vga_lock", "suspend"),
                             debug=False),
    "qxl-two": Boot(["qxl,id=card,addr=1", "qxl,id=card2,addr=2"], {"qxl.two_cards", "qxl.stuck_card"}),
    "qxl-port": Boot(["pcie-root-port,id=rp1,chassis=1,slot=1",
                         "pcie-root-port,id=rp2,chassis=2,slot=2,mem-reserve=192M",
                         "qxl,id=card,bus=rp1"],
                        qxl("unplug"), "pluggable=1 nosuspend=1", spare="qxl,id=spare,bus=rp2"),
    # The firmware of "pc" has so much AML that a slow kernel gives up: AE_AML_LOOP_TIMEOUT
    "qxl-slot": Boot(["qxl,id=card,addr=4"], qxl("unplug", "suspend"), "pluggable=1",
                        machine="pc", spare="qxl,id=spare,addr=5", debug=False),
    # A serial port that ACPI has not said is shared
    "qxl-irq": Boot(["qxl,id=card", "isa-serial,iobase=0x3e8,irq=4"], {"global.qxl_no_irq"},
                       "noapic pnpacpi=off irqtty=/dev/ttyS2"),
    "qxl-old": Boot(["qxl,id=card,revision=3"], {"global.qxl_old_revision"}),
    "qxl-heads": Boot(["qxl,id=card"], {"global.qxl_late_failure"}, "qxl.num_heads=10000000"),
}


def drm(run):
    def start(name, boot):
        screen = Screen(run, name, boot.spare)
        devices = [arg for device in boot.devices for arg in ("-device", device)]
        return run.boot(name, devices + screen.args(), f"no_console_suspend {boot.append}",
                        screen.serve, machine=boot.machine, memory="512")

    boots = [(name, boot) for name, boot in BOOTS.items()
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
