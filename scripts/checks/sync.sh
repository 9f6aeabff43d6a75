#!/usr/bin/env bash
# Is what is committed here exactly what the patches produce, and is everything
# on the branch exported?  Shows the difference if not.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

# The base commit is known to some trees and not to others.
without_base() {
	mkdir -p "$2"
	(cd "$1" && tar -c patches series kernel-tree-overlay samples MAINTAINERS-snippet) | tar -x -C "$2"
	sed -i -e '/^base-commit: /d' -e '/^$/d' "$2/$cover"
}

compare() {
	mkdir -p "$new/$1"
	"$top/scripts/export.sh" "$1" "$new/$1"
	without_base "$new/$1" "$new/have"
	without_base "$top" "$new/want"
	if diff -ru --no-dereference "$new/want" "$new/have"; then
		ok "$1"
	else
		not_ok "$1 # $2"
	fi
	rm -rf "$new/want" "$new/have"
}

"$top/scripts/lib/am.sh"
compare patches-applied "the files above differ from what patches/ produces: run 'make export'"
compare "$branch" "build/linux has commits that are not exported: run 'make export'"

totals
