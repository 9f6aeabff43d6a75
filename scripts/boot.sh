#!/usr/bin/env bash
# Boot build/kernel-NAME in QEMU with ivshmem devices and run one of the guest's
# programs in it: boot.sh NAME PROGRAM [ROUNDS].  ACCEL=kvm asks for KVM, SEED=
# repeats a run.
. "$(dirname "$0")/lib.sh"

name=$1 program=$2 rounds=${3:-0}
kernel=$build/kernel-$name
dir=$build/boot-$name-$program
accel=${ACCEL:-tcg}
seed=${SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
limit=${LIMIT:-900}	# seconds
low=$((16 << 20)) high=$((8 << 30))
# KASAN has real memory for the shadow of a mapping, an eighth of its size.
[ "$name" != debug ] || high=$((1 << 30))

[ -f "$kernel/.built" ] || die "no kernel in $kernel: run 'make build'"
[ "$accel" != kvm ] || [ -w /dev/kvm ] || die "ACCEL=kvm: no access to /dev/kvm"

rm -rf "$dir"
make_initramfs "$kernel" "$program" "$dir"

# The host's side of the memories.  The 8 GiB file is sparse.
gcc -O2 -Wall -Werror "$top/scripts/guest/backing.c" -o "$dir/backing"
"$dir/backing" fill "$dir/low" $low "$seed"
"$dir/backing" fill "$dir/high" $high "$seed"

# A BAR that fits nowhere spoils it for the other one above 4 GiB, so not always.
huge=()
if [ "$program" = unassigned ]; then
	truncate -s 1T "$dir/huge"
	# shellcheck disable=SC2054 # commas are QEMU's
	huge=(-object memory-backend-file,id=huge,share=on,mem-path="$dir/huge",size=1T
	      -device ivshmem-plain,memdev=huge,addr=8)
fi

# SeaBIOS moves all 64-bit BARs above 4 GiB if it has to move one.  It spares
# those behind a bridge with a 32-bit prefetchable BAR, for which VGA is here.
note "seed $seed"
status=0
timeout --foreground "$limit" qemu-system-x86_64 -M q35 -accel "$accel" -smp 2 -m 1024 \
	-display none -nodefaults -no-user-config -no-reboot \
	-kernel "$kernel/arch/x86/boot/bzImage" -initrd "$dir/initramfs.gz" \
	-append "console=ttyS0 panic=-1 oops=panic panic_on_warn=1 hung_task_panic=1 softlockup_panic=1 -- $seed $rounds" \
	-serial "file:$dir/console.log" -serial "file:$dir/ktap.raw" \
	-object memory-backend-file,id=low,share=on,mem-path="$dir/low",size=$low \
	-device pci-bridge,id=bridge,chassis_nr=1,addr=4 \
	-device secondary-vga,bus=bridge,addr=3 \
	-device ivshmem-plain,memdev=low,bus=bridge,addr=4 \
	-object memory-backend-file,id=high,share=on,mem-path="$dir/high",size=$high \
	-device ivshmem-plain,memdev=high,addr=5 \
	-object memory-backend-ram,id=short,size=2K \
	-device ivshmem-plain,memdev=short,addr=6 \
	-device pci-testdev,addr=7 "${huge[@]}" < /dev/null || status=$?
rm -f "$dir/huge"

tr -d '\r' < "$dir/ktap.raw" > "$dir/ktap.log"
# Lockdep and UBSAN complain without a warning, which would be a panic.
why=
if [ $status = 124 ]; then
	why="did not end within $limit s"
elif [ $status != 0 ]; then
	why="QEMU failed with status $status"
elif grep -qEf "$top/scripts/guest/complaints.re" "$dir/console.log"; then
	why="the kernel has a complaint"
elif ! grep -q '^# Totals:' "$dir/ktap.log"; then
	why="ended before its tests did"
fi
if [ -n "$why" ]; then
	echo "--- last lines of $dir/console.log"
	tail -n 30 "$dir/console.log"
	echo "--- last lines of $dir/ktap.log"
	tail -n 10 "$dir/ktap.log"
fi

# Show and count what the guest tested, with the kernel's own parser.
parsed=$(cd "$series_tree" && python3 tools/testing/kunit/kunit.py parse "$dir/ktap.log") || true
echo "$parsed"
sed -n 's/^# .*\.c:[0-9]*:\([a-z_0-9]*:.*\)/\1/p' "$dir/ktap.log"
read -r passed failed skipped <<< "$(kunit_counts <<< "$parsed")"

host_sees() {
	if "$dir/backing" check "$dir/$1" "$2" "$seed"; then
		ok "host: $1 holds what the guest wrote"
	else
		not_ok "host: $1 does not hold what the guest wrote"
	fi
}
if [ "$program" = sample ]; then
	host_sees low $low
	host_sees high $high
fi

[ -z "$why" ] || failed=$((failed + 1))
totals || [ -n "$why" ]
[ -z "$why" ] || die "guest $name, $program: $why, see $dir/console.log"
