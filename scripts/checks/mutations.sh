#!/usr/bin/env bash
# Does each line of mutations.tsv still change what it names?
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

need_tree
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

while IFS=$'\t' read -r name file expr _; do
	[[ -n $name && $name != \#* ]] || continue
	plain_git show "$branch:$file" > "$tmp/before" 2>/dev/null || : > "$tmp/before"
	if ! sed -z -E "$expr" "$tmp/before" > "$tmp/after"; then
		not_ok "$name # is no expression for sed"
	elif cmp -s "$tmp/before" "$tmp/after"; then
		not_ok "$name # changes nothing in $file"
	else
		ok "$name"
	fi
done < "$top/scripts/checks/mutations.tsv"
ok_if_empty "no name twice" "$(cut -f1 "$top/scripts/checks/mutations.tsv" | grep -v '^#' | sort | uniq -d)"
totals
