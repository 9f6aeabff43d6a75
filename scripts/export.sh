#!/usr/bin/env bash
# Write patches/, series, kernel-tree-overlay/, samples/ and MAINTAINERS-snippet
# from the branches of build/linux.  Nothing in them depends on the day or machine.
#
# usage: export.sh [REPOSITORY DIRECTORY]
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/sets.sh"

repo=${1:-$tree}
dest=${2:-$top}
need_tree

repo_git() {
	git -C "$repo" "$@"
}

repo_git rev-parse -q --verify "refs/heads/$branch" >/dev/null ||
	die "no branch $branch in $repo: run 'make apply'"
[ "$dest" != "$top" ] || [ -z "$(repo_git status --porcelain)" ] ||
	die "build/linux has uncommitted changes: commit them (git commit --fixup) or stash them"
read_sets "$repo"

new=$(mktemp -d "$dest/.export.XXXXXX")	# on the same disk
trap 'rm -rf "$new"' EXIT

# format_patch ARGUMENT...: the same everywhere
format_patch() {
	repo_git format-patch -q --zero-commit --no-signature --full-index "$@"
}

format_patch -o "$new/patches" "pristine..$branch"

# A cover letter's From: and Date: are the committer's.  It has the number of the set's first
# patch, and is not *.patch: git am stops at it.
number=1
for name in "${set_names[@]}"; do
	range=${set_begin[$name]}..$(end_of "$name")
	count=$(repo_git rev-list --count "$range")
	echo "# set $name needs ${set_needs[$name]:-nothing}"
	(cd "$new/patches" && ls -- *.patch) | sed -n "$number,$((number + count - 1))p"
	if [ "$count" != 1 ]; then
		GIT_COMMITTER_NAME=$(repo_git log -1 --format=%an "${set_end[$name]}") \
		GIT_COMMITTER_EMAIL=$(repo_git log -1 --format=%ae "${set_end[$name]}") \
		GIT_COMMITTER_DATE=$(repo_git log -1 --format=%ai "${set_end[$name]}") \
			format_patch --cover-letter --cover-from-description=subject -o "$new/set" "$range"
		mv "$new/set/0000-cover-letter.patch" "$new/patches/$(printf %04d "$number")-cover-$name.txt"
		rm -r "$new/set"
	fi
	number=$((number + count))
done > "$new/series"
[ "$number" != 1 ] || die "no sets in $repo"

mkdir "$new/kernel-tree-overlay" "$new/samples"
ln -s ../samples "$new/kernel-tree-overlay/samples"
repo_git diff --name-only --diff-filter=A pristine "$branch" | while read -r file; do
	mkdir -p "$(dirname "$new/kernel-tree-overlay/$file")"
	repo_git show "$branch:$file" > "$new/kernel-tree-overlay/$file"
done

repo_git diff -U0 pristine "$branch" -- MAINTAINERS | sed -n '/^+++/d; s/^+//p' > "$new/MAINTAINERS-snippet"

trap '' INT TERM HUP
for item in patches series kernel-tree-overlay samples MAINTAINERS-snippet; do
	[ ! -e "$dest/$item" ] || mv "$dest/$item" "$new/old-$item"
	mv "$new/$item" "$dest/$item"
done

[ "$dest" = "$top" ] || exit 0
plain_git config pci-shmem-bar.patches "$(sum_of "$top/patches" "$top/series")"
plain_git config pci-shmem-bar.state "$(state_of_branch)"
note "$((number - 1)) patches in ${#set_names[@]} sets written"
