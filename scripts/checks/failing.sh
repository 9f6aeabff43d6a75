#!/usr/bin/env bash
# Is each commit of the qxl set clean when probe fails late?  The kernel of a commit is built and
# booted with more heads than the device has memory for; the last thing the guest is asked for is
# that nothing stays claimed, enabled or complained of.
#
# usage: failing.sh [FIRST [LAST]]: only these, by number in the set
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/sets.sh"

need_tree
work=$build/sets		# and its kernel, which sets.sh builds for each set
mkdir -p "$work"
read_sets "$tree"

log=$(plain_git log --reverse --format='%h %s' "${set_begin[qxl]}..${set_end[qxl]}")
number=0
while read -r commit subject; do
	number=$((number + 1))
	if [ "$number" -lt "${1:-1}" ] || [ "$number" -gt "${2:-$number}" ]; then continue; fi
	out=$work/failing-$number.log
	work_tree "$work/linux" "$commit"
	if ! PCI_SHMEM_BUILD=$work "$top/scripts/build.sh" set > "$out" 2>&1; then
		not_ok "$number $subject # does not build, see $out"
	elif PCI_SHMEM_BUILD=$work "$top/scripts/boot.py" set drm qxl-heads > "$out" 2>&1; then
		ok "$number $subject"
	else
		not_ok "$number $subject"
		sed 's/^/    /' "$out" | grep -E 'not ok|kernel says' || true
	fi
done <<< "$log"
totals
