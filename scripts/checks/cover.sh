#!/usr/bin/env bash
# Is what the cover letters of the sets say of numbers, and of each other, so on the branch?
# And what README.md and docs/sending.md say of the sets?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/sets.sh"

# same NAME IS WRITTEN
same() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1 # is $2, not ${3:-there}"; fi
}

letter_of() {
	plain_git config "branch.$(end_of "$1").description"
}

# subject_of NAME: of the first mail
subject_of() {
	if [ "$(plain_git rev-list --count "${set_begin[$1]}..${set_end[$1]}")" = 1 ]; then
		plain_git log -1 --format=%s "${set_end[$1]}"
	else
		letter_of "$1" | sed -n 1p	# not head: it may end before git has written all
	fi
}

need_tree
read_sets "$tree"
for name in "${set_names[@]}"; do
	letter=$(letter_of "$name")
	# What is listed by number, as in "  9-10   drm_dev_enter() ..."
	listed=$(sed -nE 's/^  ([0-9]+-)?([0-9]+)  +[^0-9 ].*/\2/p' <<< "$letter" | tail -n 1)
	count=$(plain_git rev-list --count "${set_begin[$name]}..${set_end[$name]}")
	[ -z "$listed" ] || same "$name: the last patch" "$count" "$listed"
	[ -n "$letter" ] || continue
	for need in ${set_needs[$name]}; do
		subject=$(subject_of "$need")
		same "$name: needs $need" "$subject" "$(sed -n 's/^  //p' <<< "$letter" | grep -xF -e "$subject")"
	done
done

# It has a row for each set, in the order of the series.
# shellcheck disable=SC2016 # Markdown's
rows=$(sed -nE '/^\| set \| what/,/^$/s/^\| `([a-z0-9-]+)` .*/\1/p' "$top/docs/sending.md" | tr '\n' ' ')
same "docs/sending.md: the sets" "${set_names[*]} " "$rows"
same README.md "$(plain_git rev-list --count "pristine..$branch") patches in ${#set_names[@]} sets" \
	"$(grep -oE '[0-9]+ patches in [0-9]+ sets' "$top/README.md")"

# Lines of the drivers that use the helper, in the sets that convert them
letter=$(letter_of pci-shmem-bar)
while read -r driver name path; do
	counted=$(plain_git diff --shortstat "${set_begin[$name]}" "${set_end[$name]}" -- "$path/*.[ch]" |
		sed -E 's/.* ([0-9]+) insertion.* ([0-9]+) deletion.*/+\1 -\2/')
	same "$driver" "$counted" "$(sed -nE "s/^  $driver +(\+[0-9]+ -[0-9]+) .*/\1/p" <<< "$letter")"
done <<'LIST'
vmwgfx drm-shmem-bar drivers/gpu/drm/vmwgfx
qxl drm-shmem-bar drivers/gpu/drm/qxl
vboxguest pci-shmem-bar drivers/virt/vboxguest
LIST
totals
