#!/usr/bin/env bash
# Put a pristine Linux 7.3 into build/linux, a git repository with the tag
# "pristine".  It comes from Debian's package, or from KERNEL_SRC=: a git tree
# (its HEAD) or an extracted tarball, neither of which is changed or needed later.  LINUX=7.4 takes that
# release of Debian's instead, to which the patches may or may not apply.
#
# "fetch.sh testing" puts only what the guests' programs and judge.py take from it into
# build/testing, if there is no build/linux, for tests of kernels that are built already.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/debian.sh"

release=${LINUX:-7.3}
package=linux-source-$release
pinned=7.3.4-1~bpo13+1
sha256=703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3
suites="trixie-backports forky sid"

new=$build/linux.new

# The version to take from the mirror, the pinned one if it is still there.
find_version() {
	local suite versions

	for suite in $suites; do
		read_suites "$suite" || continue
		versions=$(versions_of "$package")
		[ -n "$versions" ] || continue
		version=$pinned
		if ! grep -qxF "$pinned" <<< "$versions"; then
			version=$(head -n 1 <<< "$versions")
			[ -n "${LINUX:-}" ] || note "$package $pinned is gone, taking $version from $suite"
		fi
		return 0
	done
	die "the mirror has no $package (or does not answer): set KERNEL_SRC= to a tree of $release, or LINUX= to another release: docs/other-trees.md says to which the patches apply"
}

get_deb() {
	local version

	deb=$(find_deb "$package" "$build")
	if [ -z "$deb" ]; then
		find_version
		download "$package" "$version" "$build"
		deb=$(find_deb "$package" "$build")
	fi
	version=$(dpkg-deb -f "$deb" Version)

	# Any other version than the pinned one has only apt's signature to vouch
	# for it.
	if [ "$version" = "$pinned" ] &&
	   ! echo "$sha256  $deb" | sha256sum --quiet -c -; then
		rm -f "$deb"
		die "${deb##*/} has the wrong checksum and was removed: run this again"
	fi
}

from_debian() {
	local deb

	get_deb
	unpack "$package" "$deb" "$new"
	import "$new" "$package $(dpkg-deb -f "$deb" Version)"
}

fetch_testing() {
	local deb files=(include/uapi tools/include/nolibc tools/testing/kunit
		tools/testing/selftests/kselftest.h tools/testing/selftests/kselftest_harness.h)

	[ ! -e "$tree/.git" ] && [ ! -e "$build/testing" ] || return 0
	rm -rf "$build/testing.new"
	if [ -n "${KERNEL_SRC:-}" ]; then
		check_version "$KERNEL_SRC"
		mkdir -p "$build/testing.new"
		tar -c -C "$KERNEL_SRC" "${files[@]}" | tar -x -C "$build/testing.new"
	else
		get_deb
		unpack "$package" "$deb" "$build/testing.new" "${files[@]}"
	fi
	mv "$build/testing.new" "$build/testing"
}

check_version() {
	local have

	[ -f "$1/Kbuild" ] || die "$1 is not a kernel tree"
	have=$(sed -n 's/^VERSION = //p; s/^PATCHLEVEL = /./p' "$1/Makefile" | tr -d '\n')
	[ "$have" = "$release" ] || die "$1 is Linux ${have:-of unknown version}, the series is for $release: see docs/other-trees.md"
}

# users_git ARGUMENT...: with the settings of the user, who may be trusted with the tree by those only
users_git() {
	(unset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM; git -c core.hooksPath=/dev/null -c core.autocrlf=false "$@")
}

from_user() {
	local src=$1 borrowed=$new/.git/objects/info/alternates

	[ -d "$src" ] || die "KERNEL_SRC=$src is not a directory"
	check_version "$src"
	if [ -e "$src/.git" ]; then
		[ -z "$(users_git -C "$src" status --porcelain -uno)" ] ||
			die "KERNEL_SRC=$src has uncommitted changes: commit or stash them"
		# Its objects stay, as links or copies, whatever becomes of $src.
		users_git clone -q --no-tags "$src" "$new"
		git -C "$new" remote remove origin
		if [ -s "$borrowed" ]; then
			git -C "$new" repack -q -a -d
			rm "$borrowed"
		fi
		git -C "$new" config pci-shmem-bar.base known
	else
		mkdir -p "$new"
		cp -a --reflink=auto "$src/." "$new"
		import "$new" "${src##*/}"
	fi
}

mkdir -p "$build"
if [ "${1:-}" = testing ]; then
	fetch_testing
	exit
fi

[ -z "${KERNEL_SRC:-}" ] || KERNEL_SRC=$(realpath -m "$KERNEL_SRC")
origin=${KERNEL_SRC:-$package}
if [ -e "$tree/.git" ]; then
	was=$(git -C "$tree" config pci-shmem-bar.origin || true)
	[ -z "${KERNEL_SRC:-}${LINUX:-}" ] || [ "$was" = "$origin" ] ||
		die "build/linux was made from $was: save your work in it, then remove it and run this again"
	[ ! -e "${KERNEL_SRC:-}/.git" ] || [ "$(users_git -C "$KERNEL_SRC" rev-parse HEAD)" = "$(plain_git rev-parse pristine)" ] ||
		die "KERNEL_SRC=$KERNEL_SRC has another commit than build/linux was made from:" \
		    "save your work in build/linux, then remove it and run this again"
	exit 0
fi

rm -rf "$new"		# of a run that was killed
if [ -n "${KERNEL_SRC:-}" ]; then
	from_user "$KERNEL_SRC"
else
	from_debian
fi
git -C "$new" tag pristine
git -C "$new" config pci-shmem-bar.origin "$origin"
mv "$new" "$tree"
note "build/linux: $(git -C "$tree" log -1 --format=%s pristine)"
