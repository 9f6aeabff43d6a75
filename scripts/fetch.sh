#!/usr/bin/env bash
# Put a pristine Linux 7.3 into build/linux, a git repository with the tag
# "pristine".  It comes from Debian's package, or from KERNEL_SRC=: a git tree
# (its HEAD) or an extracted tarball, neither of which is changed.
. "$(dirname "$0")/lib.sh"

series=7.3
package=linux-source-$series
pinned=7.3.4-1~bpo13+1
sha256=703e369ddd4cce971452f5a593ee55df3a5c10c83caf0fa0df039633ed181ee3
suites="trixie-backports forky sid"
need_gib=12

new=$build/linux.new

# A private apt: the machine's mirror and keys, but none of its settings.
private_apt() {
	apt-"$1" -q -o Dir::Etc::sourcelist="$build/apt/sources.list" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$build/apt/lists" \
		-o Dir::Cache="$build/apt/cache" -o APT::Sandbox::User=root "${@:2}"
}

# The version to take from the mirror, the pinned one if it is still there.
find_version() {
	local mirror suite versions

	# shellcheck disable=SC2016 # apt's variables, not the shell's
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' |
		sed -n '/-security/d; s/^Debian //p' | sort -u | head -n 1)
	[ -n "$mirror" ] || die "apt on this machine names no Debian mirror: set KERNEL_SRC="

	mkdir -p "$build"/apt/{lists,cache/archives}/partial
	for suite in $suites; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
			> "$build/apt/sources.list"
		private_apt get update || continue
		versions=$(private_apt cache madison "$package" | cut -d'|' -f2 | tr -d ' ')
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

	deb=$(find "$build" -maxdepth 1 -name "${package}_*.deb" -print -quit)
	if [ -z "$deb" ]; then
		find_version
		(cd "$build/apt" && private_apt get download "$package=$version") ||
			die "cannot download $package $version: is the network up?"
		mv "$build/apt/${package}"_*.deb "$build"
		deb=$(find "$build" -maxdepth 1 -name "${package}_*.deb" -print -quit)
	fi
	version=$(dpkg-deb -f "$deb" Version)

	# Any other version than the pinned one has only apt's signature to vouch
	# for it.
	if [ "$version" = "$pinned" ] &&
	   ! echo "$sha256  $deb" | sha256sum --quiet -c -; then
		rm -f "$deb"
		die "${deb##*/} has the wrong checksum and was removed: run this again"
	fi

	mkdir -p "$new"
	dpkg-deb --fsys-tarfile "$deb" | tar -xO "./usr/src/$package.tar.xz" |
		xz -dT0 | tar -x -C "$new" --strip-components=1

	# Debian's packaging ignores everything there is, new files included.
	sed -i -e '\|^/\*$|d' -e '\|^!/debian/$|d' "$new/.gitignore"
	import "$package $version"
}

# One commit of everything, the same everywhere.  bigFileThreshold makes git
# write a single pack instead of 90000 files.
import() {
	git -C "$new" init -q -b pristine-import
	git -C "$new" -c core.bigFileThreshold=1 -c core.compression=0 add -A -f .
	GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z \
		git -C "$new" -c user.name=import -c user.email=import@localhost \
		-c gc.auto=0 -c commit.gpgSign=false commit -q --no-verify -m "$1"
}

check_version() {
	local have

	[ -f "$1/Kbuild" ] || die "$1 is not a kernel tree"
	have=$(sed -n 's/^VERSION = //p; s/^PATCHLEVEL = /./p' "$1/Makefile" | tr -d '\n')
	[ "$have" = $series ] || die "$1 is Linux ${have:-of unknown version}, the series is for $series"
}

from_user() {
	local src=$1

	[ -d "$src" ] || die "KERNEL_SRC=$src is not a directory"
	src=$(cd "$src" && pwd)
	check_version "$src"
	if [ -e "$src/.git" ]; then
		[ -z "$(git -C "$src" status --porcelain -uno)" ] ||
			die "KERNEL_SRC=$src has uncommitted changes: commit or stash them"
		# Borrows the objects of $src, writes nothing to it.
		git clone -q --shared --no-tags "$src" "$new"
		git -C "$new" remote remove origin
		git -C "$new" config pci-shmem-bar.base known
	else
		mkdir -p "$new"
		cp -a --reflink=auto "$src/." "$new"
		import "${src##*/}"
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
free=$(df --output=avail -B1G "$build" | tail -n 1)
[ "$free" -ge $need_gib ] || die "needs $need_gib GiB in $build, which has ${free// /} GiB left"

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
