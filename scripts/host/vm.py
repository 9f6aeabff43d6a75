# SPDX-License-Identifier: GPL-2.0
"""A guest: a QEMU process, and a thread that hears what its program says."""
import contextlib
import ctypes
import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import NamedTuple

# On a busy host, QEMU's timer is too late for x86 to believe that it works, and 20 s are not
# enough for softirqs under KASAN
APPEND = ("panic=-1 oops=panic panic_on_warn=1 hung_task_panic=1 softlockup_panic=1 no_timer_check "
          "watchdog_thresh=60")
PR_SET_PDEATHSIG = 1
SO_SNDBUFFORCE = 32
LIBC = ctypes.CDLL(None)


def die(why):
    sys.exit(f"{os.path.basename(sys.argv[0])}: {why}")


def number(name, default):
    """A number in the environment"""
    value = os.environ.get(name) or str(default)
    if not value.isdecimal():
        die(f"{name}={value} is no number")
    return int(value)


SLOW = number("SLOW", 1)


class Machine(NamedTuple):
    """What differs between architectures: the program's serial port comes second."""
    qemu: str
    args: list
    image: str
    console: str
    port: str
    port_args: list
    cc: str


PCI_SERIAL = ["-device", "pci-serial,chardev=port,addr=0x10"]
SECOND_SERIAL = ["-serial", "chardev:port"]
MACHINES = {
    "x86_64": Machine("qemu-system-x86_64", ["-M", "q35"], "arch/x86/boot/bzImage",
                      "ttyS0", "ttyS1", SECOND_SERIAL, "gcc"),
    # On qemu-system-i386's own processor, Linux uses no PAT.  Without ACPI, it finds one
    # processor in each socket.
    "i386": Machine("qemu-system-x86_64", ["-M", "q35", "-smp", "sockets=2"], "arch/x86/boot/bzImage",
                    "ttyS0", "ttyS1", SECOND_SERIAL, "i686-linux-gnu-gcc"),
    "arm64": Machine("qemu-system-aarch64", ["-M", "virt", "-cpu", "cortex-a72"],
                     "arch/arm64/boot/Image", "ttyAMA0", "ttyS0", PCI_SERIAL,
                     "aarch64-linux-gnu-gcc"),
    "riscv64": Machine("qemu-system-riscv64", ["-M", "virt"], "arch/riscv/boot/Image",
                       "ttyS0", "ttyS1", PCI_SERIAL, "riscv64-linux-gnu-gcc"),
    "ppc64": Machine("qemu-system-ppc64", ["-M", "pseries,x-vof=on", "-cpu", "power9"],
                     "vmlinux", "hvc0", "hvc1", SECOND_SERIAL, "powerpc64-linux-gnu-gcc"),
}


class Qmp:
    def __init__(self, sock):
        self.file = sock.makefile("rw")
        self.events = []
        self.woken = False
        self.lock = threading.Lock()
        self.read()
        self.call("qmp_capabilities")

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("QEMU has gone")
        return json.loads(line)

    def ask(self, name, **args):
        """What QEMU returns, or None if it says no"""
        with self.lock:
            print(json.dumps({"execute": name, "arguments": args}), file=self.file, flush=True)
            while "event" in (answer := self.read()):
                self.events.append(answer)
        if "error" in answer:
            print(f"{name}: {answer['error']['desc']}")
        return answer.get("return")

    def call(self, name, **args):
        return self.ask(name, **args) is not None

    def wake_later(self):
        """Returns at once: a guest that sleeps does not listen.  woken says if it has slept, and was woken."""
        def wait_and_wake():
            with contextlib.suppress(ConnectionError):	# QEMU may end before the guest sleeps
                for _ in range(5 * Guest.silent):
                    status = self.ask("query-status")
                    if status["status"] == "suspended":
                        time.sleep(1)
                        self.woken = self.call("system_wakeup")
                        return
                    time.sleep(0.2)
        self.woken = False
        threading.Thread(target=wait_and_wake, daemon=True).start()
        return True

    def wait_event(self, name, device=None):
        while True:
            for event in self.events:
                if event["event"] == name and event.get("data", {}).get("device") == device:
                    self.events.remove(event)
                    return
            self.events.append(self.read())


def nvram(path):
    """PowerPC's, as firmware leaves it: one free partition of 64 KiB"""
    with open(path, "wb") as file:
        file.write(b"\x7f\x29\x10\x00" + 12 * b"w")	# signature, checksum, length / 16, name
        file.truncate(1 << 16)
    return ["-drive", f"if=pflash,format=raw,file={path}"]


def loses_writes(qemu):
    """Before 8.2 (0d58c660689f), what one processor writes to a register may reach another
    device while a second one changes where BARs are: an interrupt is sent or ended no more."""
    version = subprocess.run([qemu, "--version"], stdout=subprocess.PIPE, check=True, text=True)
    return tuple(map(int, re.search(r"version (\d+)\.(\d+)", version.stdout).groups())) < (8, 2)


def dies_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Command:
    """A QEMU, as far as it does not depend on who listens to it"""

    def __init__(self, kernel, name, args, append, machine=None, memory="1024", cpus="2",
                 parallel=False):
        self.arch = arch = MACHINES[kernel.arch]
        self.out = os.path.join(kernel.out, name)
        base = ["-M", machine] if machine else arch.args
        accel = os.environ.get("ACCEL", "tcg")
        if kernel.name.startswith("try") and accel == "tcg":
            # QEMU 7.2's cmpxchg16b spoils the flags when it faults; SLUB relies on them, but not
            # in our kernels, which are small
            base = [*base, "-cpu", "qemu64,-cx16"]
        if kernel.arch == "ppc64":
            base = base + nvram(f"{self.out}.nvram")
        if parallel:
            append = f"maxcpus=1 {append}"
        elif accel == "tcg" and loses_writes(arch.qemu):
            accel += ",thread=single"
        self.before = [
            arch.qemu, *base, "-accel", accel, "-smp", cpus, "-m", memory,
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", os.path.join(kernel.dir, arch.image),
            "-initrd", os.path.join(kernel.out, "initramfs.gz"),
            "-append", f"console={arch.console} {APPEND} PORT=/dev/{arch.port} {append}"]
        self.args = args

    def line(self, serial):
        return [*self.before, *serial, *self.args]

    def by_hand(self):
        """To be pasted: the console is the terminal, and nobody answers what the program asks."""
        return shlex.join(self.line(["-serial", "mon:stdio",
                                     "-chardev", f"file,id=port,path={self.out}.again", *self.arch.port_args]))


class Guest(threading.Thread):
    """Ends when the program has, or after SILENT seconds without a word of it.

    A line "# host: WHAT ..." of the program is a request, which serve(what, args...)
    answers; "# progress: ..." is shown, "# result: ..." too, and kept.

    Where QEMU loses writes, the processors take turns, unless they must not (parallel):
    then the program starts the second one, and no BAR may move from then on.
    """
    started = []
    silent = number("LIMIT", 300 * SLOW)

    def __init__(self, kernel, name, args, append, serve=None, machine=None, memory="1024",
                 cpus="2", parallel=False):
        super().__init__(name=name, daemon=True)
        arch = MACHINES[kernel.arch]
        self.out = os.path.join(kernel.out, name)
        self.serve = serve
        self.error = None
        self.killed = False
        self.port, port = socket.socketpair()
        self.qmp, qmp = socket.socketpair()
        self.port.settimeout(self.silent)
        self.qmp.settimeout(self.silent)
        # Each byte takes the room of a message: a guest would wait for us after 300
        with contextlib.suppress(PermissionError):
            port.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 16 << 20)
        command = Command(kernel, name, args, append, machine, memory, cpus, parallel)
        with open(f"{self.out}.command", "w", encoding="utf-8") as file:
            print(command.by_hand(), file=file)
        command = command.line(
            ["-serial", f"file:{self.out}.console",
             "-chardev", f"socket,id=port,fd={port.fileno()}", *arch.port_args,
             "-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "qmp,mode=control"])
        # There even if QEMU ends before it makes it
        with open(f"{self.out}.console", "w", encoding="utf-8"), open(f"{self.out}.stderr", "w", encoding="utf-8") as err:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stderr=err, pass_fds=(port.fileno(), qmp.fileno()),
                preexec_fn=dies_with_us)
        port.close()
        qmp.close()
        if os.environ.get("V"):
            subprocess.Popen(["tail", "-qF", "-n+1", f"--pid={self.process.pid}", f"{self.out}.console"],
                             stderr=subprocess.DEVNULL)
        self.started.append(self)
        self.start()

    def run(self):
        try:
            # Not by QEMU's logfile=: it repeats what the socket does not take at once
            with open(f"{self.out}.ktap", "w", buffering=1, encoding="utf-8") as log:
                self.qmp = Qmp(self.qmp)
                for line in self.port.makefile(errors="replace", newline="\n"):
                    line = line.replace("\r", "")
                    log.write(line)
                    self.hear(line)
            self.process.wait(self.silent)
        except TimeoutError:
            self.error = f"no word of it for {self.silent} s"
        except (OSError, subprocess.TimeoutExpired) as error:
            with open(f"{self.out}.stderr", encoding="utf-8") as said:
                self.error = " ".join(said.read().split()) or repr(error)
        finally:
            self.process.kill()
            self.process.wait()

    def hear(self, line):
        if line.startswith("# host: "):
            what, *args = line[8:].split()
            good = self.serve and self.serve(self, what, *args)
            self.port.sendall(b"y" if good else b"n")
        elif line.startswith(("# result: ", "# progress: ")):
            print(f"{self.name}: {line[2:]}", end="", flush=True)

    def kill(self):
        self.killed = True
        self.process.kill()
        self.join()

    @classmethod
    def kill_all(cls):
        for guest in cls.started:
            guest.process.kill()
            guest.process.wait()


class Kernel:
    """build/kernel-NAME, and what a test of it leaves in build/boot-NAME-TEST"""

    def __init__(self, build, name, test):
        self.name = name
        self.arch = name if name in MACHINES else "x86_64"
        self.dir = os.path.join(build, f"kernel-{name}")
        self.out = os.path.join(build, f"boot-{name}-{test}")

    def version(self):
        """What it says of itself, with the time at which it was built"""
        with open(os.path.join(self.dir, "include/generated/utsversion.h"), encoding="ascii") as file:
            return re.search('"(.*)"', file.read())[1]

    def source_has(self, path, text):
        """A set alone has not all that the series has."""
        with open(os.path.join(self.dir, "source", path), encoding="utf-8") as file:
            return text in file.read()

    def check(self):
        """Can it be booted?"""
        accel = os.environ.get("ACCEL", "tcg")
        if not os.path.exists(os.path.join(self.dir, ".built")):
            die(f"no kernel in {self.dir}: run 'make build'")
        if not shutil.which(MACHINES[self.arch].qemu):
            die(f"no {MACHINES[self.arch].qemu}: run scripts/tools.sh check soak")
        if accel not in ("tcg", "kvm"):
            die(f"ACCEL={accel}: it is tcg or kvm")
        if accel == "kvm" and not os.access("/dev/kvm", os.W_OK):
            die("ACCEL=kvm: no access to /dev/kvm")
        if "," in self.out:
            die(f"the path {self.out} has a comma in it, which QEMU takes for an option's end: move it")

    def lock(self):
        """out is ours as long as what is returned is kept."""
        lock = open(f"{self.out}.lock", "w", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            die(f"another boot.py uses {self.out}")
        return lock
