#!/usr/bin/env bash
# Put a pristine Linux 7.3 into build/linux, a git repository with the tag
# "pristine".  It comes from Debian's package, or from KERNEL_SRC=: a git tree
# (its HEAD) or an extracted tarball, neither of which is changed.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/debian.sh"

release=7.3
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
			note "$package $pinned is gone, taking $version from $suite"
		fi
		return 0
	done
	die "the mirror has no $package (or does not answer): set KERNEL_SRC="
}

from_debian() {
	local deb version

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

	unpack "$package" "$deb" "$new"
	import "$new" "$package $version"
}

check_version() {
	local have

	[ -f "$1/Kbuild" ] || die "$1 is not a kernel tree"
	have=$(sed -n 's/^VERSION = //p; s/^PATCHLEVEL = /./p' "$1/Makefile" | tr -d '\n')
	[ "$have" = $release ] || die "$1 is Linux ${have:-of unknown version}, the series is for $release: see 'Other trees' in README.md"
}

from_user() {
	local src=$1

	[ -d "$src" ] || die "KERNEL_SRC=$src is not a directory"
	src=$(cd "$src" && pwd)
	check_version "$src"
	if [ -e "$src/.git" ]; then
		# With the user's settings: it may be trusted by those only.
		unset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM
		[ -z "$(git -C "$src" status --porcelain -uno)" ] ||
			die "KERNEL_SRC=$src has uncommitted changes: commit or stash them"
		# Borrows the objects of $src, writes nothing to it.
		git -c core.hooksPath=/dev/null -c core.autocrlf=false clone -q --shared --no-tags "$src" "$new"
		export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null
		git -C "$new" remote remove origin
		git -C "$new" config pci-shmem-bar.base known
	else
		mkdir -p "$new"
		cp -a --reflink=auto "$src/." "$new"
		import "$new" "${src##*/}"
	fi
}

origin=${KERNEL_SRC:-$package}
if [ -e "$tree/.git" ]; then
	was=$(git -C "$tree" config pci-shmem-bar.origin || true)
	[ -z "${KERNEL_SRC:-}" ] || [ "$was" = "$origin" ] ||
		die "build/linux was made from $was: save your work in it, then remove it and run this again"
	exit 0
fi

mkdir -p "$build"
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
