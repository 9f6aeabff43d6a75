#!/usr/bin/env bash
# Make the branch pci-shmem-bar of build/linux, and those of its sets, what patches/ and
# series say, and check it out.  Work in it that was not exported yet is never lost.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/sets.sh"

need_tree
want=$(sum_of "$top/patches" "$top/series")
have=$(git -C "$tree" config pci-shmem-bar.patches || true)

if git -C "$tree" rev-parse -q --verify "refs/heads/$branch" >/dev/null; then
	# What was applied or exported last; the branch may be ahead of it.
	[ "$want" != "$have" ] || exit 0
	if [ "$(state_of_branch)" != "$(git -C "$tree" config pci-shmem-bar.state)" ] ||
	   [ -n "$(git -C "$tree" status --porcelain)" ]; then
		die "patches/ changed, and build/linux has work that was not exported:" \
		    "'git branch -m $branch NAME' there keeps it aside"
	fi
fi

"$top/scripts/lib/am.sh"
am=$build/am
old=$(git -C "$tree" for-each-ref --format='%(refname:short)' refs/heads/set/)
git -C "$tree" checkout -q --detach
# shellcheck disable=SC2086 # several names
[ -z "$old" ] || git -C "$tree" branch -q -D $old
git -C "$tree" fetch -q --no-tags "$am" '+refs/heads/set/*:refs/heads/set/*' "+refs/heads/$branch:refs/heads/$branch"
git -C "$tree" checkout -q "$branch"

read_sets "$am"
for name in "${set_names[@]}"; do
	end=$(end_of "$name")
	git -C "$tree" config "branch.$end.needs" "${set_needs[$name]}"
	git -C "$tree" config "branch.$end.description" "$(git -C "$am" config "branch.$end.description")"
done
# Have git rebase move the branches of the sets with their commits.
git -C "$tree" config rebase.updateRefs true
git -C "$tree" config pci-shmem-bar.patches "$want"
git -C "$tree" config pci-shmem-bar.state "$(state_of_branch)"
note "$(git -C "$tree" rev-list --count "pristine..$branch") patches applied to build/linux"
