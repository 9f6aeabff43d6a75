#!/usr/bin/env bash
# Install what the other scripts need, as far as it is missing.
. "$(dirname "$0")/lib.sh"

# command or file, and the Debian package that has it
missing=()
while read -r probe package; do
	if [ "${probe#/}" = "$probe" ]; then
		command -v "$probe" >/dev/null
	else
		compgen -G "$probe" >/dev/null
	fi || missing+=("$package")
done <<'LIST'
gcc gcc
make make
git git
flex flex
bison bison
bc bc
patch patch
perl perl
python3 python3
xz xz-utils
cpio cpio
ccache ccache
depmod kmod
/bin/busybox busybox-static
/usr/include/*/sys/types.h libc6-dev
/usr/include/linux/types.h linux-libc-dev
/usr/include/gelf.h libelf-dev
/usr/include/openssl/ssl.h libssl-dev
/usr/lib/python3/dist-packages/ply python3-ply
/usr/lib/python3/dist-packages/git python3-git
/usr/share/keyrings/debian-archive-keyring.gpg debian-archive-keyring
qemu-system-x86_64 qemu-system-x86
shellcheck shellcheck
codespell codespell
b4 b4
quilt quilt
sparse sparse
spatch coccinelle
clang-19 clang-19
clang-include-cleaner-19 clang-tools-19
ld.lld-19 lld-19
llvm-ar-19 llvm-19
/usr/bin/sphinx-build python3-sphinx
/usr/lib/python3/dist-packages/yaml python3-yaml
aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
qemu-system-aarch64 qemu-system-arm
LIST

[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null ||
	die "missing, and this machine has no apt: ${missing[*]}"
[ "$(id -u)" = 0 ] ||
	die "missing, install as root: apt-get install ${missing[*]}"

note "installing ${missing[*]}"
apt-get -q update
DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
