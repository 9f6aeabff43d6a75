#!/usr/bin/env bash
# Does each commit of the series compile alone, without a warning that the
# pristine tree does not have?  Looks at the C files the series touches, with
# gcc (W=1, which includes kernel-doc) and sparse, and at a kernel without PCI.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"
. "$top/scripts/lib/commit-tree.sh"
. "$top/scripts/lib/warnings.sh"

need_tree
log=$(plain_git log --reverse --format='%h %s' "pristine..$branch")
say_before
while read -r commit subject; do
	go_to "$commit"
	ok_if_empty "$subject" "$(new_to_say)"
done <<< "$log"

need_all_options
totals
