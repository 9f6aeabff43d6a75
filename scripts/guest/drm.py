#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run drm_test in QEMU: drm.py KERNEL INITRAMFS OUTDIR [NAME...]

Boots the kernel once for each device below, serves the guest's requests, and
leaves OUTDIR/<name>.ktap and OUTDIR/<name>.log (the console).
"""
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

QXL_TESTS = {"qxl." + test for test in
             ("claims", "picture", "rebind", "open_fd", "hostile_rom")}
# What to boot: QEMU's device, the tests that must pass there, and the command line
BOOTS = {
    "vmwgfx": ("vmware-svga", {"vmwgfx.claims"}, ""),
    "qxl": ("qxl,id=card", QXL_TESTS, ""),
    # QEMU rounds this up, to a 16 MiB BAR 0
    "qxl-small": ("qxl,id=card,ram_size_mb=1,vram_size_mb=1,vgamem_mb=1", QXL_TESTS, ""),
    "qxl-old": ("qxl,id=card,revision=3", {"global.qxl_old_revision"}, ""),
    "qxl-heads": ("qxl,id=card", {"global.qxl_late_failure"}, "qxl.num_heads=10000000"),
}
# Without kmemleak, this one is skipped.
NO_LEAKS = "afterwards.no_leaks"
# What a console must not say
with open(os.path.join(os.path.dirname(__file__), "complaints.re")) as file:
    COMPLAINTS = file.read().strip()
TIMEOUT = 120


def connect(path):
    sock = socket.socket(socket.AF_UNIX)
    for _ in range(100):
        try:
            sock.connect(path)
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            time.sleep(0.1)
    raise TimeoutError(path)


class Qmp:
    def __init__(self, path):
        self.file = connect(path).makefile("rw")
        self.file.readline()
        self.call("qmp_capabilities")

    def call(self, name, **args):
        print(json.dumps({"execute": name, "arguments": args}), file=self.file, flush=True)
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                return "return" in answer


class Gdb:
    """Write to a ROM, which a monitor cannot do."""

    def __init__(self, path):
        self.sock = connect(path)
        self.data = b""

    def call(self, packet):
        self.sock.sendall(b"$%s#%02x" % (packet, sum(packet) & 255))
        while True:
            while not (reply := re.match(rb"[^$]*\$([^#]*)#..", self.data)):
                self.data += self.sock.recv(4096)
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


def serve(request, tmp, qmp):
    what, *args = request.split()
    if what == "picture":
        # The device draws in its own time
        want = picture(*map(int, args))
        for _ in range(20):
            qmp.call("screendump", filename=f"{tmp}/ppm", device="card")
            with open(f"{tmp}/ppm", "rb") as ppm:
                if ppm.read() == want:
                    return True
            time.sleep(0.2)
        return False
    if what == "poke":
        return Gdb(f"{tmp}/gdb").poke(*(int(arg, 16) for arg in args))
    return False


def boot(name, kernel, initramfs, outdir):
    device, tests, append = BOOTS[name]
    out = os.path.join(outdir, name)
    with tempfile.TemporaryDirectory() as tmp, subprocess.Popen(
            ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-smp", "2", "-m", "512M",
             "-nodefaults", "-display", "none", "-no-reboot",
             "-kernel", kernel, "-initrd", initramfs, "-device", device,
             "-append", f"console=ttyS0 panic_on_warn=1 oops=panic panic=-1 {append}",
             "-serial", f"file:{out}.log",
             "-chardev", f"socket,id=ktap,path={tmp}/ktap,server=on",
             "-serial", "chardev:ktap",
             "-chardev", f"socket,id=gdb,path={tmp}/gdb,server=on,wait=off",
             "-gdb", "chardev:gdb",
             "-qmp", f"unix:{tmp}/qmp,server=on,wait=off"],
            stdin=subprocess.DEVNULL) as qemu, open(f"{out}.ktap", "w") as log:
        try:
            ktap = connect(f"{tmp}/ktap")
            ktap.settimeout(TIMEOUT)
            qmp = Qmp(f"{tmp}/qmp")
            for line in ktap.makefile(errors="replace"):
                # Not left to QEMU's logfile=, which now and then repeats characters
                log.write(line)
                if line.startswith("# host: "):
                    ktap.sendall(b"y" if serve(line[8:], tmp, qmp) else b"n")
            qemu.wait(TIMEOUT)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error!r}")
        finally:
            qemu.kill()
    # Skipped tests count as ok, so look for those that were wanted
    with open(f"{out}.ktap", errors="replace") as ktap:
        said = ktap.read()
    ran = set(re.findall(r"^ok \d+ (\S+)$", said, re.M))
    skipped = set(re.findall(rf"^ok \d+ ({NO_LEAKS}) # SKIP", said, re.M))
    with open(f"{out}.log", errors="replace") as console:
        if not re.search(COMPLAINTS, console.read()):
            ran.add("no complaint of the kernel")
    tests = tests | {NO_LEAKS, "no complaint of the kernel"}
    ran &= tests
    for test in sorted(tests - skipped):
        print(f"{'ok' if test in ran else 'not ok'} - {name}: {test}")
    for test in skipped:
        print(f"ok - {name}: {test} # [SKIPPED] {test} (no kmemleak in this kernel)")
    failed = tests - ran - skipped
    if failed:
        for log in f"{out}.log", f"{out}.ktap":
            with open(log, errors="replace") as lines:
                print(f"--- last lines of {log}", *lines.read().splitlines()[-30:], sep="\n")
    return len(ran), len(failed), len(skipped)


def main():
    kernel, initramfs, outdir = sys.argv[1:4]
    os.makedirs(outdir, exist_ok=True)
    results = [boot(name, kernel, initramfs, outdir) for name in sys.argv[4:] or BOOTS]
    passed, failed, skipped = map(sum, zip(*results))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main())
