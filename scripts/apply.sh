#!/usr/bin/env bash
# Make the branch pci-shmem-bar of build/linux what patches/ says, and check it
# out.  Work in it that was not exported yet is never lost.
. "$(dirname "$0")/lib/common.sh"

need_tree
want=$(sum_of "$top/patches")
have=$(git -C "$tree" config pci-shmem-bar.patches || true)
tip=$(git -C "$tree" rev-parse -q --verify "refs/heads/$branch" || true)

if [ -n "$tip" ]; then
	# What was applied or exported last; the branch may be ahead of it.
	[ "$want" != "$have" ] || exit 0
	if [ "$tip" != "$(git -C "$tree" config pci-shmem-bar.tip)" ] ||
	   [ -n "$(git -C "$tree" status --porcelain)" ]; then
		die "patches/ changed, and build/linux has work that was not exported:" \
		    "'git branch -m $branch NAME' there keeps it aside"
	fi
fi

"$top/scripts/lib/am.sh"
git -C "$tree" checkout -q -B "$branch" patches-applied
git -C "$tree" config "branch.$branch.description" \
	"$(git -C "$tree" config branch.patches-applied.description)"
git -C "$tree" config pci-shmem-bar.patches "$want"
git -C "$tree" config pci-shmem-bar.tip "$(git -C "$tree" rev-parse "$branch")"
note "$(git -C "$tree" rev-list --count "pristine..$branch") patches applied to build/linux"
