#!/bin/busybox sh
# shellcheck shell=dash
# The init of "make shell": the driver loaded, and a shell on the terminal
/bin/busybox mkdir -p /sbin /usr/bin /usr/sbin
/bin/busybox --install -s
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t devtmpfs devtmpfs /dev
modprobe ivshmem_sample 2>/dev/null

echo
for device in /sys/bus/pci/drivers/ivshmem_sample/*:*; do
	[ ! -e "$device/shmem" ] ||
		echo "$device/shmem has $(stat -L -c %s "$device/shmem") bytes"
done
echo "The shell ends the guest when it ends; Ctrl-A X does so from outside."
echo
# A terminal of its own, for Ctrl-C
cd /sys/bus/pci/drivers/ivshmem_sample || cd /
PS1='guest# ' setsid cttyhack sh
poweroff -f
