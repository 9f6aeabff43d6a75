#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boot build/kernel-KERNEL with two ivshmem devices and a shell on this terminal:
shell.py KERNEL.  With GDB=1, the guest waits for gdb.  The memories are files that stay, so a
second guest, in another terminal, shares them with the first.
"""
import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "host"))

import judge
import shared
import vm

SIZES = {"a": 16 << 20, "b": 64 << 20}


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: shell.py KERNEL")
    build = os.environ.get("PCI_SHMEM_BUILD") or os.path.join(judge.TOP, "build")
    kernel = vm.Kernel(build, sys.argv[1], "shell")
    kernel.check()
    subprocess.run([os.path.join(judge.TOP, "scripts/host/initramfs.sh"), kernel.dir,
                    vm.MACHINES[kernel.arch].cc, "shell", kernel.out], check=True)
    devices = []
    os.makedirs(os.path.join(build, "shell"), exist_ok=True)
    for place, (name, size) in enumerate(SIZES.items(), 4):
        path = os.path.join(build, "shell", name)
        with open(path, "ab") as file:
            file.truncate(size)
        devices += shared.ivshmem(name, path, size, f"addr={place}")
        print(f"0000:00:{place:02x}.0 has the memory in {path}")
    append = "quiet"
    if os.environ.get("GDB"):
        devices += ["-s", "-S"]
        append = "nokaslr"
        print(f"waits for:  gdb {kernel.dir}/vmlinux -ex 'target remote :1234' -ex continue")
    command = vm.Command(kernel, "guest", devices, append).by_hand()
    path = os.path.join(kernel.out, "guest.command")
    with open(path, "w", encoding="utf-8") as file:
        print(command, file=file)
    print(f"QEMU's command is in {path}", flush=True)
    os.execvp("sh", ["sh", "-c", f"exec {command}"])


if __name__ == "__main__":
    main()
