#!/usr/bin/env bash
# Boot build/kernel-NAME on the devices QEMU has for vmwgfx and qxl: drm.sh NAME.
. "$(dirname "$0")/lib.sh"

name=$1
kernel=$build/kernel-$name
dir=$build/boot-$name-drm

[ -f "$kernel/.built" ] || die "no kernel in $kernel: run 'make build'"
rm -rf "$dir"
make_initramfs "$kernel" drm "$dir"
exec python3 "$top/scripts/guest/drm.py" \
	"$kernel/arch/x86/boot/bzImage" "$dir/initramfs.gz" "$dir"
