#!/usr/bin/env bash
# Make build/kernel-NAME, for boot.py, from a kernel of Debian's own, with the helper and
# its sample as modules: try.sh NAME.  NAME is try, for the newest kernel that the mirror
# has for this release of Debian, backports included, or try-VERSION, for the newest one
# whose version begins with that.  Run by build.sh.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/debian.sh"

name=$1
want=${name#try} want=${want#-}
out=$build/kernel-$name
system=$out/system	# what is in the packages

. /etc/os-release
[ "${ID:-} ${VERSION_CODENAME:+named}" = "debian named" ] ||
	die "this machine is no release of Debian, so its compiler is not that of Debian's kernels: 'make boot' builds one"
machine=$(dpkg --print-architecture)
[ "$machine" = amd64 ] || die "the kernels tried are amd64's, this machine is $machine"

# The cloud flavour is the smallest.  find_kernel: its version, the newest, "" if there is none
find_kernel() {
	private_apt cache pkgnames linux-image- |
		sed -nE 's/^linux-image-([0-9].*)-cloud-amd64$/\1/p' |
		awk -v want="$want" 'want == "" || $0 == want || index($0, want ".") == 1 || index($0, want "+") == 1' |
		sort -V | tail -n 1
}

# Its packages, without those of other systems' and the alternatives that are not signed
packages_of() {
	private_apt cache depends --recurse --no-recommends --no-suggests --no-conflicts \
		--no-breaks --no-replaces --no-enhances "linux-image-$1-cloud-amd64" "linux-headers-$1-cloud-amd64" |
		grep -E '^linux-.*[0-9]' | grep -v -e -unsigned -e ^linux-compiler- | sort -u
}

download_all() {
	local kernel packages

	# The newest is in one of two small suites, if they have any.
	kernel=
	if [ -z "$want" ] && read_suites "$VERSION_CODENAME-security" "$VERSION_CODENAME-backports"; then
		kernel=$(find_kernel)
	fi
	if [ -z "$kernel" ]; then
		read_suites "$VERSION_CODENAME" "$VERSION_CODENAME-security" "$VERSION_CODENAME-backports" ||
			die "the mirror does not answer"
		kernel=$(find_kernel)
	fi
	[ -n "$kernel" ] || die "the mirror has no kernel${want:+ $want} for Debian $VERSION_ID"
	! dpkg --compare-versions "${kernel%%[+-]*}" lt 6.12 ||
		die "Debian's kernel $kernel is too old: the modules want 6.12"
	mapfile -t packages < <(packages_of "$kernel")
	rm -rf "$out/debs"
	mkdir -p "$out/debs.new"
	(cd "$out/debs.new" && private_apt get download "${packages[@]}") ||
		die "cannot download $kernel: is the network up?"
	mv "$out/debs.new" "$out/debs"
	echo "$kernel-cloud-amd64" > "$out/debs/kernel"
}

# Unpacked where it is found: nothing is installed.
unpack_all() {
	local deb

	rm -rf "$system"
	mkdir -p "$system/usr/lib"
	for deb in "$out"/debs/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -x -C "$system" --exclude='*/lib/modules/*/kernel' --keep-directory-symlink
	done
	sed -i "s|/usr/src/linux-headers|$system&|" "$system/usr/src/linux-headers-$kernel/Makefile"
}

# module_make DIR ARGUMENT...: build modules in DIR.  Nobody has the kernel's BTF here.
module_make() {
	make -s -C "$system/usr/src/linux-headers-$kernel" -j"$(nproc)" M="$1" \
		CONFIG_DEBUG_INFO_BTF_MODULES= "${@:2}"
}

mkdir -p "$out"
[ -e "$out/debs/kernel" ] || download_all
# What the guest's programs are made of, beside the rest; apt has to take turns.
"$top/scripts/fetch.sh" testing &
fetching=$!
trap 'kill "$fetching" 2>/dev/null || true' EXIT

kernel=$(cat "$out/debs/kernel")
state=$(sum_of "$0" "$top"/{patches,samples,kernel-tree-overlay} "$top"/scripts/{compat,module,module.sh,guest/claim} "$out/debs")
if [ "$(cat "$out/.built" 2>/dev/null)" != "$state" ]; then
	rm -rf "$out/.built" "$out"/{module,claim,root,arch,include}
	unpack_all

	"$top/scripts/module.sh" "$out/module"
	module_make "$out/module"
	cp -r "$top/scripts/guest/claim" "$out/claim"
	module_make "$out/claim" KBUILD_EXTRA_SYMBOLS="$out/module/Module.symvers" KCPPFLAGS="-I$out/module/include"

	# As in the build directory of a kernel
	modules=$out/root/lib/modules/$kernel
	mkdir -p "$modules/updates" "$out"/{arch/x86/boot,include/generated}
	cp "$out"/module/*.ko "$modules/updates"
	find "$system" \( -name 'modules.builtin*' -o -name modules.order \) -exec cp {} "$modules" \;
	depmod -b "$out/root" "$kernel"
	find "$system" -name "vmlinuz*" -exec ln -s {} "$out/arch/x86/boot/bzImage" \;
	ln -s "$system/usr/src/linux-headers-$kernel/include/generated/utsversion.h" "$out/include/generated"
	echo "$state" > "$out/.built"
fi
note "Debian's kernel $kernel, with the modules pci_shmem_bar and ivshmem_sample"

wait "$fetching"
trap - EXIT
