#!/usr/bin/env bash
# Run a command at the top of this repository where the kernel's Rust can be built: rust.sh
# COMMAND...  That is here, on Debian 13; otherwise in a Debian 13 of its own, in
# build/rust-root, which has this repository at the same path.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/debian.sh"

suite=trixie
root=$build/rust-root
packages=rustc,rust-src,rust-clippy,rustfmt,bindgen,libclang-dev,clang,lld,llvm
packages+=,gcc,make,flex,bison,bc,perl,python3,cpio,kmod,xz-utils,libelf-dev,git,ccache,procps

[ $# -gt 0 ] || die "usage: rust.sh COMMAND..."

# What 7.3 wants of each (scripts/min-tool-version.sh), and the sources of the library
has_rust() {
	local library

	command -v rustfmt clippy-driver rustdoc bindgen >/dev/null &&
		RUSTC=rustc BINDGEN=bindgen CC=gcc "$tree/scripts/rust_is_available.sh" >/dev/null 2>&1 &&
		library=$(rustc --print sysroot)/lib/rustlib/src/rust/library/core/src/lib.rs && [ -e "$library" ]
}

make_root() {
	local mirror

	[ "$(id -u)" = 0 ] || die "no Rust that can build Linux 7.3 here, and only root can make a Debian 13"
	command -v debootstrap >/dev/null || die "no debootstrap: run scripts/tools.sh rust"
	mirror=$(mirror_of "$suite")
	[ -n "$mirror" ] || die "apt on this machine names no Debian mirror"
	rm -rf --one-file-system "$root"
	# rust-src has 30000 files: they need not be on the disk one by one.
	mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
	echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
	debootstrap --variant=minbase --include="$packages" "$suite" "$root" "$mirror" > "$root.log" 2>&1 ||
		{ tail -n 5 "$root.log" >&2; die "debootstrap failed, see $root.log"; }
	rm -rf "$root"/var/cache/apt/archives/*.deb
	touch "$root/.done"
}

need_tree
if has_rust; then
	cd "$top"
	IN_RUST=yes exec "$@"
fi
[ -z "${RUST_ROOT:-}" ] || die "what debootstrap made in $root has no Rust that can build Linux 7.3"

mkdir -p "$build"
exec {lock}> "$root.lock"
flock "$lock"
[ -e "$root/.done" ] || make_root
flock -u "$lock"

# The mounts are seen here only, and end with this process.
mkdir -p "$root$top" "$root$HOME/.cache/ccache" "$HOME/.cache/ccache"
# shellcheck disable=SC2016 # for the shell in there
exec unshare --mount --propagation private bash -euc '
	root=$1 top=$2
	mount -t proc proc "$root/proc"
	mount --rbind /dev "$root/dev"
	mount --bind "$HOME/.cache/ccache" "$root$HOME/.cache/ccache"
	mount --bind "$top" "$root$top"
	exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$HOME" TERM=dumb RUST_ROOT=yes \
		${PCI_SHMEM_BUILD:+PCI_SHMEM_BUILD="$PCI_SHMEM_BUILD"} \
		chroot "$root" "${@:3}"' bash "$root" "$top" "$top/scripts/rust.sh" "$@"
