# shellcheck shell=bash disable=SC2034
# Sourced by the other scripts: places, messages, git, and nothing of the caller's
# that could change a result.

set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# trees.sh has one for each other tree.  It may be a symbolic link.
build=$(readlink -m "${PCI_SHMEM_BUILD:-$top/build}")
tree=$build/linux			# the kernel tree one works in
commit_tree=$build/per-commit/linux	# one commit of it after the other
branch=pci-shmem-bar			# the series, on top of the tag "pristine"
slow=${SLOW:-1}				# limits of time are this many times as long
export LC_ALL=C
PATH=$PATH:/usr/sbin			# depmod, after a plain su

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

note() {
	echo "${0##*/}: $*"
}

[[ $slow =~ ^[1-9][0-9]*$ ]] || die "SLOW=$slow is no number"
[[ $top != *[[:space:]]* ]] || die "the path $top has a space in it, with which the kernel cannot be built: move it"

# A GIT_DIR would make all of git's commands here write to another repository.
# shellcheck disable=SC2046 # names of variables
unset $(env -u GIT_DIR git rev-parse --local-env-vars 2>/dev/null)
unset ARCH CROSS_COMPILE LLVM LLVM_IAS CC HOSTCC CFLAGS LDFLAGS KCFLAGS KAFLAGS KCPPFLAGS \
	KCONFIG_CONFIG KCONFIG_ALLCONFIG KBUILD_OUTPUT KBUILD_EXTRA_SYMBOLS INSTALL_MOD_PATH \
	MAKEFLAGS MFLAGS MAKEOVERRIDES MAKELEVEL CDPATH GREP_OPTIONS
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null GIT_TEMPLATE_DIR=

plain_git() {
	git -C "$tree" "$@"
}

# work_tree DIR COMMIT: a work tree of build/linux, made if it is not there, with COMMIT checked out
work_tree() {
	if [ ! -e "$1/.git" ]; then
		rm -rf "$1"
		plain_git worktree prune
		plain_git worktree add -q --detach "$1" "$2"
	fi
	plain_git -C "$1" checkout -q -f --detach "$2"
}

need_tree() {
	[ -e "$tree/.git" ] || die "no kernel tree in $tree: run 'make fetch'"
}

# One number for what is in files or directories, by name and content.
sum_of() {
	find "$@" -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# patched_files: what patches/ touch
patched_files() {
	sed -n 's|^diff --git a/\([^ ]*\) b/.*|\1|p' "$top"/patches/*.patch | sort -u
}
