#!/usr/bin/env bash
# Boot build/kernel-NAME, on its own under hot-unplug or twice with one memory
# between the two: soak.sh hotplug|mailbox NAME COUNT.  SEED= repeats a run.
. "$(dirname "$0")/lib.sh"

what=$1 kernel=$build/kernel-$2 count=$3
dir=$build/boot-$2-$what

[ -f "$kernel/.built" ] || die "no kernel in $kernel: run 'make build'"
rm -rf "$dir"
make_initramfs "$kernel" "$what" "$dir"
exec python3 "$top/scripts/guest/soak.py" "$what" \
	"$kernel/arch/x86/boot/bzImage" "$dir/initramfs.gz" "$dir" "$count" ${SEED:+"$SEED"}
