#!/usr/bin/env bash
# Boot build/kernel-drm on the devices QEMU has for vmwgfx and qxl.
. "$(dirname "$0")/lib.sh"

kernel=$build/kernel-drm
dir=$build/boot-drm

[ -f "$kernel/.built" ] || die "no kernel in $kernel: run 'make build'"
rm -rf "$dir"
make_initramfs "$kernel" drm "$dir"
exec python3 "$top/scripts/guest/drm.py" \
	"$kernel/arch/x86/boot/bzImage" "$dir/initramfs.gz" "$dir"
