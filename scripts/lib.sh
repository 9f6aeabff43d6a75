# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: places, messages and the pins they share.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$top/build
tree=$build/linux			# the kernel tree one works in
branch=pci-shmem-bar			# the series, on top of the tag "pristine"
cover=patches/0000-cover-letter.txt	# not *.patch: git am stops at it
export LC_ALL=C

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

note() {
	echo "${0##*/}: $*"
}

# git without the user's settings, which could change what is exported.
plain_git() {
	GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null git -C "$tree" "$@"
}

need_tree() {
	[ -e "$tree/.git" ] || die "no kernel tree in $tree: run 'make fetch'"
}

# One number for what is in files or directories, by name and content.
sum_of() {
	find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# kmake TREE OUT ARGUMENT...
kmake() {
	PATH=/usr/lib/ccache:$PATH CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1 \
		make -C "$1" O="$2" -s -j$(($(nproc) + 1)) "${@:3}"
}

# configure TREE OUT FRAGMENT...: tinyconfig and what the fragments say.
configure() {
	kmake "$1" "$2" tinyconfig
	(cd "$1" && KCONFIG_CONFIG=$2/.config \
		scripts/kconfig/merge_config.sh -m -O "$2" "$2/.config" "${@:3}") > "$2/merge.log"
	kmake "$1" "$2" olddefconfig
}

# lost_options OUT FRAGMENT...: what the fragments ask for and did not get.
lost_options() {
	sed '/^CONFIG_/!d' "${@:2}" | grep -vxFf "$1/.config" | tr '\n' ' ' || true
}
