#!/usr/bin/env bash
# Write patches/, series, kernel-tree-overlay/, samples/ and MAINTAINERS-snippet
# from a branch of build/linux.  Nothing in them depends on the day or machine.
#
# usage: export.sh [BRANCH [DIRECTORY]]
. "$(dirname "$0")/lib/common.sh"

from=${1:-$branch}
dest=${2:-$top}
need_tree
plain_git rev-parse -q --verify "refs/heads/$from" >/dev/null ||
	die "no branch $from in build/linux: run 'make apply'"
[ "$dest" != "$top" ] || [ -z "$(plain_git status --porcelain)" ] ||
	die "build/linux has uncommitted changes: commit them (git commit --fixup) or stash them"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# Only a user's git tree has a commit that means something to others.
base=()
[ -z "$(plain_git config pci-shmem-bar.base)" ] || base=(--base=pristine)

# The cover letter's From: and Date: are the committer's.
GIT_COMMITTER_NAME=$(plain_git log -1 --format=%an "$from")
GIT_COMMITTER_EMAIL=$(plain_git log -1 --format=%ae "$from")
GIT_COMMITTER_DATE=$(plain_git log -1 --format=%ai "$from")
export GIT_COMMITTER_NAME GIT_COMMITTER_EMAIL GIT_COMMITTER_DATE
plain_git format-patch -q --cover-letter --cover-from-description=subject "${base[@]}" \
	--zero-commit --no-signature --full-index -o "$new/patches" "pristine..$from"
mv "$new/patches/0000-cover-letter.patch" "$new/$cover"
(cd "$new/patches" && ls -- *.patch) > "$new/series"

mkdir "$new/kernel-tree-overlay" "$new/samples"
ln -s ../samples "$new/kernel-tree-overlay/samples"
plain_git diff --name-only --diff-filter=A pristine "$from" | while read -r file; do
	mkdir -p "$(dirname "$new/kernel-tree-overlay/$file")"
	plain_git show "$from:$file" > "$new/kernel-tree-overlay/$file"
done

plain_git diff -U0 pristine "$from" -- MAINTAINERS | sed -n '/^+++/d; s/^+//p' > "$new/MAINTAINERS-snippet"

for item in patches series kernel-tree-overlay samples MAINTAINERS-snippet; do
	rm -rf "${dest:?}/$item"
	mv "$new/$item" "$dest/$item"
done

[ "$dest" = "$top" ] || exit 0
git -C "$tree" config pci-shmem-bar.patches "$(sum_of "$top/patches")"
git -C "$tree" config pci-shmem-bar.tip "$(git -C "$tree" rev-parse "$from")"
note "$(wc -l < "$top/series") patches written"
