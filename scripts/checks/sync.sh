#!/usr/bin/env bash
# Is what is committed here exactly what the patches produce, and is everything
# on the branch exported?  Shows the difference if not.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# same_export NAME REPOSITORY WHY
same_export() {
	mkdir -p "$new/have" "$new/want"
	(cd "$top" && tar -c patches series kernel-tree-overlay samples MAINTAINERS-snippet) | tar -x -C "$new/want"
	if "$top/scripts/export.sh" "$2" "$new/have" && diff -ru --no-dereference "$new/want" "$new/have"; then
		ok "$1"
	else
		not_ok "$1 # $3"
	fi
	rm -rf "$new/want" "$new/have"
}

"$top/scripts/lib/am.sh"
same_export patches-applied "$build/am" "the files above differ from what patches/ produces: run 'make export'"
same_export "$branch" "$tree" "build/linux has commits or cover letters that are not exported: run 'make export'"

totals
