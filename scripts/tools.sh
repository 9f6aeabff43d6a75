#!/usr/bin/env bash
# Install what is missing of what the given targets need:
# tools.sh fetch|try|boot|drm|check|soak|rust...
. "$(dirname "$0")/lib/common.sh"

[ $# -gt 0 ] || die "usage: tools.sh fetch|try|boot|drm|check|soak|rust..."
[ "${TOOLS:-}" != skip ] || exit 0
[ "$(uname -m)" = x86_64 ] || die "this machine is $(uname -m): all this wants x86-64, and for another one, see docs/other-trees.md"

# have PROBE
have() {
	case $1 in
	static:*)
		[ -x "${1#static:}" ] && ! ldd "${1#static:}" >/dev/null 2>&1 ;;
	/*)
		compgen -G "$1" >/dev/null ;;
	*)
		command -v "$1" >/dev/null ;;
	esac
}

# What to say where nothing can be installed from here
by_hand=
[ "$(id -u)" = 0 ] || by_hand="missing, install as root: apt-get install"
command -v apt-get >/dev/null || by_hand="missing, and this machine has no apt:"

# What fetch needs is installed before the rest of boot's only to have it sooner: who has
# to do it by hand is told of all at once.
[ "$*" != fetch ] || [ -z "$by_hand" ] || set -- boot

# All targets need what fetch needs, all but fetch what try needs, and all but these two
# what boot needs.
case $* in
fetch)	targets=" fetch " ;;
try*)	targets=" fetch $* " ;;
*)	targets=" fetch try boot $* " ;;
esac
# What is downloaded is from Debian, and signed.
[[ $* != try* && ( -n ${KERNEL_SRC:-} || -e $tree/.git ) ]] || targets+="debian "

# Debian 12's Rust is too old for the kernel: see rust.sh.
# shellcheck source=/dev/null
[[ $targets != *" rust "* ]] ||
	if [ "$(. /etc/os-release && echo "${VERSION_ID:-99}")" -ge 13 ]; then targets+=" rustc "; else targets+=" rust-root "; fi

mkdir -p "$build"
exec {lock}> "$build/.tools.lock"
flock "$lock"		# until the one that runs beside this has installed what it can
missing=()
# For which target; what to look for: a command, a file, or a program that is static;
# and the Debian package that has it, with a ? if some releases have no such package, but
# the file in another of these.
while read -r target probe package; do
	[[ $targets = *" $target "* ]] || continue
	have "$probe" || missing+=("$package")
done <<'LIST'
fetch git git
fetch xz xz-utils
debian /usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
try gcc gcc
try make make
try patch patch
try python3 python3
try cpio cpio
try depmod kmod
try setpriv util-linux
try static:/bin/busybox busybox-static
try /usr/include/*/sys/types.h libc6-dev
try /usr/include/linux/types.h linux-libc-dev
try qemu-system-x86_64 qemu-system-x86
try /usr/lib/*/libelf.so.1 libelf1?
try /usr/lib/*/libelf.so.1 libelf1t64?
boot flex flex
boot bison bison
boot bc bc
boot perl perl
boot ccache ccache
boot /usr/include/gelf.h libelf-dev
boot /usr/include/openssl/ssl.h libssl-dev
check /usr/lib/python3/dist-packages/ply python3-ply
check /usr/lib/python3/dist-packages/git python3-git
check shellcheck shellcheck
check codespell codespell
check b4 b4
check /usr/lib/git-core/git-send-email git-email
check /usr/share/perl5/Mail/Address.pm libmailtools-perl
check quilt quilt
check sparse sparse
check spatch coccinelle
check ocamlopt ocaml
check /usr/lib/*/libpython3.*[0-9].so libpython3-dev
check clang-19 clang-19
check clang-include-cleaner-19 clang-tools-19
check ld.lld-19 lld-19
check llvm-ar-19 llvm-19
check /usr/bin/sphinx-build python3-sphinx
check /usr/lib/python3/dist-packages/yaml python3-yaml
check i686-linux-gnu-gcc gcc-i686-linux-gnu
check aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
check qemu-system-aarch64 qemu-system-arm
check gnuplot gnuplot-nox
check /usr/lib/*/qemu/hw-display-qxl.so qemu-system-modules-spice?
drm /usr/lib/*/qemu/hw-display-qxl.so qemu-system-modules-spice?
peers /usr/lib/*/qemu/hw-display-qxl.so qemu-system-modules-spice?
peers /usr/lib/*/qemu/chardev-spice.so qemu-system-modules-spice?
peers debootstrap debootstrap
peers mke2fs e2fsprogs
peers /usr/lib/*/girepository-1.0/SpiceClientGLib-2.0.typelib gir1.2-spiceclientglib-2.0
peers /usr/lib/python3/dist-packages/gi python3-gi
tries dkms dkms
soak dkms dkms
soak riscv64-linux-gnu-gcc gcc-riscv64-linux-gnu
soak qemu-system-riscv64 qemu-system-misc
soak /usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin opensbi
soak powerpc64-linux-gnu-gcc gcc-powerpc64-linux-gnu
soak qemu-system-ppc64 qemu-system-ppc
rust-root debootstrap debootstrap
rustc rustc rustc
rustc rustfmt rustfmt
rustc clippy-driver rust-clippy
rustc bindgen bindgen
rustc /usr/src/rustc-*/library/core/src/lib.rs rust-src
rustc clang clang
rustc ld.lld lld
rustc llvm-ar llvm
LIST

if [ ${#missing[@]} = 0 ]; then
	# fetch has the mirror from apt's lists, which a small image comes without.
	[ -n "$by_hand" ] || [ -n "$(apt-get indextargets)" ] || apt-get -q update
	exit 0
fi

[ -z "$by_hand" ] || die "$by_hand ${missing[*]%\?} (TOOLS=skip goes on without)"

note "installing ${missing[*]%\?}"
apt-get -q update
packages=()
for package in "${missing[@]}"; do
	[[ $package != *\? ]] || apt-cache show "${package%\?}" >/dev/null 2>&1 || continue
	packages+=("${package%\?}")
done
DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${packages[@]}"
