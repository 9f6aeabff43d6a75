#!/usr/bin/env bash
# Do the cover letter's counts of lines, driver by driver, come from this branch?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

need_tree
letter=$(plain_git config "branch.$branch.description")
while read -r driver path; do
	counted=$(plain_git diff --shortstat pristine "$branch" -- "$path/*.[ch]" |
		sed -E 's/.* ([0-9]+) insertion.* ([0-9]+) deletion.*/+\1 -\2/')
	written=$(sed -nE "s/^  $driver +(\+[0-9]+ -[0-9]+) .*/\1/p" <<< "$letter")
	if [ "$counted" = "$written" ]; then ok "$driver"; else not_ok "$driver # is $counted, not ${written:-there}"; fi
done <<'LIST'
vmwgfx drivers/gpu/drm/vmwgfx
qxl drivers/gpu/drm/qxl
vboxguest drivers/virt/vboxguest
LIST
totals
