# SPDX-License-Identifier: GPL-2.0
"""What the tests of more than one file share: devices, patterns, and what may be skipped."""
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


def ivshmem(name, path, size, place):
    return ["-object", f"memory-backend-file,id={name},share=on,mem-path={path},size={size}",
            "-device", f"ivshmem-plain,memdev={name},{place}"]


def pattern_word(seed, index):
    """As in pattern.h"""
    z = (seed + (index + 1) * 0x9e3779b97f4a7c15) & MASK
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
    return z ^ (z >> 31)


# Processors with 1 GiB pages and without.  QEMU's "max" hangs now and then while it boots
CPUS = {"1G": "qemu64,pdpe1gb=on", "2M": "qemu64,pdpe1gb=off"}
