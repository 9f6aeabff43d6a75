#!/usr/bin/env bash
# Which other trees take the series?  Tries Debian's newest: git am, or where the
# patches do not apply, overlay.sh and the boot test of the sample.  docs/other-trees.md has
# the results in a table, which must be right, or is written: trees.sh [write].
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/debian.sh"

mode=${1:-compare}
trees=$build/trees
page=$top/docs/other-trees.md
suites=(trixie trixie-security trixie-backports forky sid)
suites_read=
rows=()

in_page() {
	sed -n '/^<!-- trees -->$/,/^<!-- \/trees -->$/{//!p}' "$page"
}

# Set $deb to what is in $dir, or else to the newest there is and its $version.
# $deb stays empty if the mirror has none, or does not answer.
get() {
	deb=$(find_deb "$package" "$dir") version=
	if [ -z "$deb" ]; then
		if [ -z "$suites_read" ]; then
			read_suites "${suites[@]}" || true	# one may be gone
			suites_read=yes
		fi
		read -r version < <(versions_of "$package") || return 0
		# fetch.sh may have it.
		ln "$build/${package}_${version}"_*.deb "$dir" 2>/dev/null ||
			(download "$package" "$version" "$dir") || return 0
		deb=$(find_deb "$package" "$dir")
	fi
	version=$(dpkg-deb -f "$deb" Version)
}

# made_from STATE: was what is in $dir made from this?
made_from() {
	[ "$(cat "$dir/.state" 2>/dev/null)" = "$1" ]
}

# The patches on the files they touch, which is quick
try_am() {
	local files state

	mapfile -t files < <(patched_files)
	state="$version ${files[*]}"
	if ! made_from "$state"; then
		rm -rf "$dir/linux" "$dir/.state"
		unpack "$package" "$deb" "$dir/linux" "${files[@]}"
		import "$dir/linux" "$package $version"
		git -C "$dir/linux" tag pristine
		echo "$state" > "$dir/.state"
	fi
	if PCI_SHMEM_BUILD=$dir "$top/scripts/lib/am.sh" > "$dir/log" 2>&1; then
		result="all patches apply" works=yes
	else
		cat "$dir/log"
		result=$(sed -n 's/^am.sh: \(.* does not apply\) to .*/\1/p' "$dir/log")
	fi
}

# The overlay on a tree that is nothing but git's objects here: files of its own
# would be the same once more.
try_overlay() {
	local state

	if [ ! -e "$dir/src.git" ]; then
		rm -rf "$dir/src" "$dir/linux" "$dir/.state"
		unpack "$package" "$deb" "$dir/src"
		import "$dir/src" "$package $version"
		git -C "$dir/src" config core.bare true
		mv "$dir/src/.git" "$dir/src.git"
		rm -rf "$dir/src"
	fi
	state=$(sum_of "$top"/{patches,samples,kernel-tree-overlay,scripts/compat,scripts/overlay.sh})
	if ! made_from "$state"; then
		rm -rf "$dir/linux" "$dir/.state"
		git -C "$dir/src.git" worktree prune
		git -C "$dir/src.git" branch -q -D "$branch" 2>/dev/null || true
		if ! "$top/scripts/overlay.sh" "$dir/src.git" "$dir/linux" > "$dir/log" 2>&1; then
			cat "$dir/log"
			result="refused: $(sed -n '$s/^overlay.sh: //p' "$dir/log")"
			return 0
		fi
		echo "$state" > "$dir/.state"
	fi

	# Indented, as the count is not that of this stage
	if ! PCI_SHMEM_BUILD=$dir "$top/scripts/build.sh" overlay; then
		result="does not build"
	elif ! PCI_SHMEM_BUILD=$dir "$top/scripts/boot.py" overlay sample | sed 's/^/    /'; then
		result="builds, the boot test of the sample fails"
	else
		result="builds, the boot test of the sample passes" works=yes
	fi
}

# test_tree RELEASE HOW COMMAND: one test, and one line of the table
test_tree() {
	local package=linux-source-$1 dir=$trees/$1 deb version result works=

	mkdir -p "$dir"
	get
	if [ -z "$deb" ]; then
		skip "$package" "the mirror has no $package, or does not answer"
		mapfile -t -O ${#rows[@]} rows < <(in_page | grep -F "| $package |")
		return 0
	fi
	"$3"
	if [ -n "$works" ]; then
		ok "$package $version: $result"
	else
		not_ok "$package $version: $result"
	fi
	rows+=("| $package | $version | $2 | $result |")
}

# What does not differ from one version to the next
essence() {
	cut -d'|' -f2,4,5
}

grep -qx '<!-- trees -->' "$page" || die "docs/other-trees.md has no place for the table: <!-- trees -->"
test_tree 7.3 "git am" try_am
test_tree 6.12 overlay.sh try_overlay

table=$(printf '%s\n' '| tree | version tried | how | result |' '|---|---|---|---|' "${rows[@]}")
if [ "$mode" = write ]; then
	sed -i -e '/^<!-- trees -->$/,/^<!-- \/trees -->$/{//!d}' \
		-e '/^<!-- trees -->$/r /dev/stdin' "$page" <<< "$table"
elif diff <(in_page | essence) <(essence <<< "$table"); then
	ok "the table in docs/other-trees.md says the same"
else
	not_ok "the table in docs/other-trees.md says something else: run 'make trees WRITE=yes'"
fi

totals
