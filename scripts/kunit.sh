#!/usr/bin/env bash
# Run the series' KUnit tests: kunit.sh um|x86_64|i386|arm64, on UML or in
# QEMU.
. "$(dirname "$0")/lib.sh"

arch=$1
bin=$build/kunit-bin
args=(--kunitconfig=drivers/pci/tests --build_dir="$build/kunit-$arch"
      --jobs=$(($(nproc) + 1)) --timeout=300)
case $arch in
um)
	;;
x86_64)
	args+=(--arch=x86_64)
	;;
i386)
	# Where a BAR can be longer than a size_t can say
	args+=(--arch=i386 --kconfig_add CONFIG_X86_PAE=y)
	;;
arm64)
	args+=(--arch=arm64 --cross_compile=aarch64-linux-gnu-)
	;;
*)
	die "no tests for $arch: um, x86_64, i386 or arm64"
	;;
esac

need_tree
mkdir -p "$bin"
ln -sf "$top/scripts/qemu-no-kvm" "$bin/qemu-system-x86_64"
ln -sf "$top/scripts/qemu-no-kvm" "$bin/qemu-system-i386"
parsed=$(cd "$tree" && PATH=$bin:$PATH && with_ccache \
	python3 tools/testing/kunit/kunit.py run "${args[@]}" 2>&1) || true
echo "$parsed"
read -r passed failed skipped <<< "$(kunit_counts <<< "$parsed")"
[ "$passed" != 0 ] || failed=$((failed + 1))
totals
