#!/usr/bin/env bash
# Make DIR/initramfs.gz, with guest/PROGRAM.c as init, on Linux 7.3's nolibc, or with
# guest/PROGRAM.sh; busybox for modprobe, if it can run there; and the kernel's modules:
# initramfs.sh KERNEL CC PROGRAM DIR.
. "$(dirname "$0")/../lib/common.sh"

kernel=$1 cc=$2 program=$3 dir=$4
root=$dir/root
nolibc=$top/build/linux	# for any tree, as older ones lack some of it
[ -e "$nolibc" ] || nolibc=$top/build/testing

compile() {
	local headers=("$kernel/usr/include") flags=()

	# Of other architectures, build.sh has made the headers.
	[ -d "${headers[0]}" ] || headers=(/usr/include "/usr/include/$(gcc -print-multiarch)")

	# Its library has no glibc to ask what the processor can do.
	[[ $cc != aarch64-* ]] || flags=(-mno-outline-atomics)

	# On 32 bits, the harness casts pointers to uintmax_t.
	"$cc" -nostdlib -nostdinc -static -Os -Wall -Wno-unused-function -Wno-pointer-to-int-cast -Werror \
		-include nolibc.h -DSLOW="$slow" "${flags[@]}" \
		-I"$nolibc/tools/include/nolibc" -I"$nolibc/tools/testing/selftests" \
		-isystem "$("$cc" -print-file-name=include)" "${headers[@]/#/-isystem}" \
		-idirafter "$nolibc/include/uapi" -D__user= \
		"$top/scripts/guest/$program.c" -lgcc -o "$root/init"
}

rm -rf "$dir"
mkdir -p "$root"/{bin,dev,proc,sys}
if [ -e "$top/scripts/guest/$program.sh" ]; then
	install "$top/scripts/guest/$program.sh" "$root/init"
else
	compile
fi
[ "$cc" != gcc ] || cp /bin/busybox "$root/bin"
# mm's own test, on the sample
if [ "$program" = faults ] && [ "$cc" = gcc ]; then
	gcc -O2 -static -D_GNU_SOURCE -Wno-format-security -I"$nolibc/tools/testing/selftests" \
		-I"$nolibc/tools/include/uapi" "$nolibc"/tools/testing/selftests/mm/{pfnmap,vm_util}.c -o "$root/pfnmap"
fi
for module in claim timing late; do
	[ ! -e "$kernel/$module/$module.ko" ] || cp "$kernel/$module/$module.ko" "$root"
done
cp -a "$kernel/root/." "$root"
# The same bytes each time, as the benchmark counts instructions since the boot.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . | sort | cpio --quiet --reproducible -o -H newc | gzip -n1) > "$dir/initramfs.gz"
rm -rf "$root"
