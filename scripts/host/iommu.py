# SPDX-License-Identifier: GPL-2.0
"""iommu: a device whose DMA an IOMMU maps"""
import os
import struct
import subprocess

from shared import MIB, ivshmem


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
