#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot build/kernel-KERNEL in QEMU and run a test in it: boot.py KERNEL TEST [COUNT|GUESTS]

COUNT is how often a test repeats what it does, if not as often as tests.py says; GUESTS is a
pattern: which to boot of those that drm has.  ACCEL=kvm asks for KVM, SEED= repeats an earlier
run, LIMIT= is how many seconds a guest may be silent.
"""
import os
import random
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "host"))

import judge
import tests
import vm


class Run:
    """One test in one kernel: tests.py asks it for guests and tells it what came of them."""

    def __init__(self, build, kernel, test, arg):
        self.kernel = vm.Kernel(build, kernel, test)
        self.count = int(arg) if arg.isdigit() else tests.COUNTS.get(test, 0)
        self.only = "*" if not arg or arg.isdigit() else arg
        self.seed = vm.number("SEED", random.getrandbits(32))
        self.results = judge.Results()

    def path(self, name):
        return os.path.join(self.kernel.out, name)

    def boot(self, name, args, append="", serve=None, **how):
        return vm.Guest(self.kernel, name, args, f"{append} -- {self.seed} {self.count}", serve, **how)

    def judge(self, guest, prefix="", **which):
        """Of a guest that was killed, all that counts is that nothing was wrong before."""
        guest.join()
        console, ktap = judge.read(f"{guest.out}.console"), judge.read(f"{guest.out}.ktap")
        before = self.results.failed
        self.results.console(prefix, console, self.kernel.version())
        if guest.killed:
            self.results.check(f"{prefix}until it was killed", "\nnot ok " not in ktap)
        else:
            self.results.ktap(prefix, ktap, **which)
            if guest.error:
                self.results.check(f"{prefix}end", False, guest.error)
        if self.results.failed > before:
            print(f"# logs: {guest.out}.console .ktap .stderr .command")


def main():
    arg = sys.argv[3] if len(sys.argv) > 3 else ""
    if (not 3 <= len(sys.argv) <= 4 or sys.argv[2] not in tests.TESTS or
            arg and not re.fullmatch("0*[1-9][0-9]*", arg) and sys.argv[2] != "drm"):
        sys.exit(f"usage: boot.py KERNEL {'|'.join(tests.TESTS)} [COUNT|GUESTS]")
    kernel, test = sys.argv[1:3]
    build = os.path.realpath(os.environ.get("PCI_SHMEM_BUILD") or os.path.join(judge.TOP, "build"))
    run = Run(build, kernel, test, arg)
    run.kernel.check()
    lock = run.kernel.lock()
    # No QEMU may outlive this, not even if it is told to end
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, lambda *_: sys.exit(1))
    print(f"seed {run.seed}", flush=True)
    try:
        subprocess.run([os.path.join(judge.TOP, "scripts/host/initramfs.sh"), run.kernel.dir,
                        vm.MACHINES[run.kernel.arch].cc, test, run.kernel.out],
                       check=True)
        tests.TESTS[test](run)
    except (subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"boot.py: {error}")
    finally:
        vm.Guest.kill_all()
    return run.results.totals()


if __name__ == "__main__":
    sys.exit(not main())
