#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot Debian, with its own qxl and with the patched one, and have programs that people use meet
an unbind of it: peers.py [write] [pristine] [patched] [debug] [SCENARIO...].

Only the patched driver is judged; of Debian's is said how far it came.  debug is the patched one
in a kernel of ours, with KASAN and lockdep.  write makes the table of docs/peers.md.
"""
import fnmatch
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from typing import NamedTuple

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import judge
import vm

WORK = os.path.join(judge.TOP, "build/peers")
DOC = os.path.join(judge.TOP, "docs/peers.md")
COLUMNS = "pristine", "patched", "debug"
MEMORY = "ram_size_mb=64,vram_size_mb=64,max_outputs=4"
# The surface of four heads has room for the whole of X's screen four times.
VGA = f"qxl-vga,id=card,{MEMORY},vgamem_mb=32"


class Scenario(NamedTuple):
    what: str			# for the table
    package: str		# its version is said, too
    device: str = VGA
    machine: str = "q35"


SCENARIOS = {
    "xorg_heads": Scenario("Xorg, modesetting, four heads, SPICE client: draw, unbind, bind, remove, rescan, "
                           "kill -9, again", "xserver-xorg-core"),
    "xorg_stuck": Scenario("the same with the usual vgamem of 16 MiB, which is too little: QEMU says "
                           "guest bug, and the device does no more", "xserver-xorg-core", f"qxl-vga,id=card,{MEMORY}"),
    "xorg_modesetting": Scenario("the same on one head without a client", "xserver-xorg-core"),
    "xorg_qxl": Scenario("the same with xf86-video-qxl", "xserver-xorg-video-qxl"),
    "fbcon": Scenario("fbcon that scrolls, /dev/fb0 and a GEM object mapped: five unbinds", "the kernel's own"),
    "weston_session": Scenario("Weston and a client: unbind, bind, remove, rescan, kill -9, again", "weston"),
    "resize": Scenario("SPICE client: resized and given heads while unbound and bound", "libspice-client-glib-2.0-8"),
    "s3": Scenario("Xorg and SPICE client: S3 twice, unbind, bind", "xserver-xorg-core",
                   f"qxl,id=card,{MEMORY},vgamem_mb=32", "pc"),
    "restart": Scenario("Xorg and SPICE client: kexec and then reboot, while clients draw", "kexec-tools"),
}


class Client:
    """spice.py, and what it has said"""

    def __init__(self, path, log):
        self.lines = []
        self.process = subprocess.Popen(
            ["/usr/bin/python3", os.path.join(os.path.dirname(os.path.abspath(__file__)), "spice.py"), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            preexec_fn=vm.dies_with_us)
        self.log = log
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        with open(self.log, "w", buffering=1, encoding="utf-8") as log:
            for line in self.process.stdout:
                log.write(line)
                self.lines.append(line.strip())

    def tell(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def says(self, line, limit=60):
        end = time.monotonic() + limit
        while line not in self.lines and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.2)
        return line in self.lines


class Host:
    """Answers a guest's requests."""

    def __init__(self, kernel, name):
        self.out = os.path.join(kernel.out, name)
        self.socket = os.path.relpath(f"{self.out}.spice")	# a socket's path is short
        self.client = None

    def serve(self, guest, what, *args):
        return getattr(self, f"do_{what}")(guest.qmp, *args)

    def do_client(self, _):
        self.client = Client(self.socket, f"{self.out}.client")
        return self.client.says("main")

    def do_client_says(self, _, line):
        return self.client.says(line)

    def do_heads(self, _, *args):
        before = len(self.client.lines)
        self.client.tell("heads", *args)
        end = time.monotonic() + 10
        while "sent" not in self.client.lines[before:] and time.monotonic() < end:
            time.sleep(0.1)
        return "sent" in self.client.lines[before:]

    def dump(self, qmp):
        """(width, height, pixels)"""
        path = f"{self.out}.ppm"
        if not qmp.call("screendump", filename=path, device="card"):
            return 0, 0, b""
        with open(path, "rb") as file:
            data = file.read()
        head = re.match(rb"P6\s(\d+) (\d+)\s255\s", data)
        return int(head[1]), int(head[2]), data[head.end():]

    def do_shows(self, qmp, *args):
        """Is the picture there, in the time that the device takes to draw?  It begins at the left;
        the driver makes the surface wider for other heads."""
        width, height, md5 = int(args[0]), int(args[1]), args[2]
        for _ in range(20):
            wide, high, rgb = self.dump(qmp)
            pixels = bytearray(4 * wide * high)
            pixels[0::4], pixels[1::4], pixels[2::4] = rgb[2::3], rgb[1::3], rgb[0::3]
            rows = (pixels[4 * wide * row:4 * (wide * row + width)] for row in range(height))
            if wide >= width and high >= height and hashlib.md5(b"".join(rows)).hexdigest() == md5:
                return True
            time.sleep(0.5)
        print(f"# the screen has {wide}x{high}, wanted is {width}x{height}")
        return False

    def do_colours(self, qmp, count):
        """At least COUNT different ones"""
        for _ in range(120):
            _, _, rgb = self.dump(qmp)
            if len({rgb[at:at + 3] for at in range(0, len(rgb), 3 * 97)}) >= int(count):
                return True
            time.sleep(0.5)
        return False

    @staticmethod
    def do_may_reboot(qmp):
        return qmp.call("set-action", reboot="reset")

    @staticmethod
    def do_wake(qmp):
        return qmp.wake_later()

    @staticmethod
    def do_woken(qmp):
        """Or did it only say that it slept?"""
        return qmp.woken

    def end(self):
        if self.client:
            self.client.process.kill()
            self.client.process.wait()


class Outcome(NamedTuple):
    passed: list
    failed: list
    said: list			# "# took ..."
    complaint: str
    ended: bool

    def good(self):
        return bool(self.passed and not self.failed and not self.complaint and self.ended)

    def __str__(self):
        """For a table"""
        if self.good():
            return "pass" + "".join(f"; {said}" for said in self.said if said.startswith("X had"))
        what = [f"not ok: {self.failed[0]}"] if self.failed else []
        if self.complaint:
            what.append(f"`{self.complaint}`")
        if not what:
            what.append("hangs")
        return "; ".join(what) + (f", after: {self.passed[-1]}" if self.passed and not self.failed else "")


def kernel_of(column, name):
    if column == "debug":
        return vm.Kernel(os.path.join(judge.TOP, "build"), "peers", name)
    return vm.Kernel(WORK, f"try-{column}", name)


def disks(kernel):
    """The root file system, and what kexec loads"""
    boot_files = os.path.join(kernel.dir, "arch/x86/boot/bzImage"), os.path.join(kernel.out, "initramfs.gz")
    for number, file in enumerate((f"{WORK}/root.img", *boot_files)):
        yield from ("-drive", f"file={file},format=raw,if=none,id=disk{number},snapshot=on,cache=unsafe",
                    "-device", f"virtio-blk-pci,drive=disk{number},addr={8 + number}")


# Nobody asks kmemleak here, and with it one _PRT of the machine pc takes longer than the 30 s that
# ACPICA gives a loop: qxl would have no interrupt.
APPEND = "qxl.num_heads=4 net.ifnames=0 kmemleak=off"


def boot(kernel, name, scenario, slow):
    host = Host(kernel, name)
    args = [
        *disks(kernel),
        "-spice", f"unix=on,addr={host.socket},disable-ticketing=on", "-device", f"{scenario.device},addr=2",
        "-device", "virtio-serial-pci,addr=7", "-chardev", "spicevmc,id=agent,name=vdagent",
        "-device", "virtserialport,chardev=agent,name=com.redhat.spice.0"]
    guest = vm.Guest(kernel, name, args, f"PEERS={name} SLOW={slow} {APPEND}", host.serve,
                     machine=scenario.machine, memory="2048")
    guest.join()
    host.end()
    came = outcome(guest.out, not guest.error)
    with open(f"{guest.out}.outcome", "w", encoding="utf-8") as file:
        print(came, file=file)
    return came


def outcome(out, quiet):
    ktap, console = judge.read(f"{out}.ktap"), judge.read(f"{out}.console")
    found = judge.complaint(console)
    return Outcome(re.findall(r"^ok (.*)$", ktap, re.M), re.findall(r"^not ok (.*)$", ktap, re.M),
                   re.findall(r"^# (took .*|X had .*|evictions .*|X: .*|weston: .*)$", ktap, re.M),
                   found and meaning(console, found), quiet and "\n# end" in ktap)


def meaning(console, found):
    """The complaint, without time and numbers, and where it happened"""
    if "cut here" in found:
        found = console[console.index(found) + len(found):].split("\n")[1]
    text = re.sub(r"^(\[[^]]*\]\s*)+", "", found.strip())
    text = re.sub(r"\+0x.*", "", text)
    text = re.sub(r"(,| for)? address: \S+| [0-9a-f]{16}$| ?(exitcode=)?0x[0-9a-f]+", "", text)
    rip = re.search(r"RIP: \S*?:?(\w+)\+0x", console)
    return text + (f" in {rip[1]}" if rip and rip[1] not in text else "")


def version(package):
    """In the guest, or of this machine"""
    for root in f"{WORK}/root", "/":
        found = re.search(rf"^Package: {re.escape(package)}\n(?:.+\n)*?Version: (.*)$",
                          judge.read(os.path.join(root, "var/lib/dpkg/status")), re.M)
        if found:
            return f"{package} {found[1]}"
    return package


def run(name, scenario, columns, results):
    for column in columns:
        kernel = kernel_of(column, name)
        kernel.check()
        subprocess.run([os.path.join(judge.TOP, "scripts/host/initramfs.sh"), kernel.dir, "gcc", "peers",
                        kernel.out], check=True)
        begin = time.monotonic()
        this = boot(kernel, name, scenario, vm.SLOW * (3 if column == "debug" else 1))
        print(f"# {column}: {name}: {time.monotonic() - begin:.0f} s: {this}", *this.said, sep="\n#    ", flush=True)
        if column == "pristine":
            continue
        prefix = f"{column}: {name}: "
        for test in this.passed:
            results.check(prefix + test, True)
        for test in this.failed:
            results.check(prefix + test, False)
        results.check(f"{prefix}console", not this.complaint, this.complaint)
        results.check(f"{prefix}end", this.ended, "the guest did not come to its end")


def came_of(column, name):
    """What the last run of it came to, if that was on this kernel"""
    kernel = kernel_of(column, name)
    path, built = os.path.join(kernel.out, f"{name}.outcome"), os.path.join(kernel.dir, ".built")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(built):
        return "not run"
    return judge.read(path).strip()


def write():
    lines = [f"| what | program | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for name, scenario in SCENARIOS.items():
        came = " | ".join(came_of(column, name) for column in COLUMNS)
        lines.append(f"| {scenario.what} | {version(scenario.package)} | {came} |")
    table = "\n".join(lines)
    text = judge.read(DOC)
    with open(DOC, "w", encoding="utf-8") as file:
        file.write(re.sub(r"(?s)<!-- table -->\n.*<!-- /table -->",
                          lambda _: f"<!-- table -->\n{table}\n<!-- /table -->", text))


def main():
    words = sys.argv[1:]
    columns = [column for column in COLUMNS if column in words] or COLUMNS
    wanted = [word for word in words if word not in (*COLUMNS, "write")] or ["*"]
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit(1))
    results = judge.Results()
    try:
        for name, scenario in SCENARIOS.items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in wanted):
                run(name, scenario, columns, results)
    finally:
        vm.Guest.kill_all()
    if "write" in words:
        write()
    return results.totals()


if __name__ == "__main__":
    sys.exit(not main())
