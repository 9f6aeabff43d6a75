#!/usr/bin/env bash
# git am patches/ to the pristine tree, in a work tree of its own that holds
# only the files they touch.  The result is the branch "patches-applied" of
# build/linux, which carries the cover letter as its description.
. "$(dirname "$0")/common.sh"

need_tree
work=$build/am
patches=("$top"/patches/*.patch)

cleanup() {
	rm -rf "$work"
	plain_git worktree prune
}
trap cleanup EXIT
cleanup

plain_git worktree add -q --no-checkout --detach "$work" pristine
patched_files | sed 's|^|/|' |
	plain_git -C "$work" sparse-checkout set --no-cone --stdin
plain_git -C "$work" checkout -q --detach pristine

if ! out=$(GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series@localhost \
	   plain_git -C "$work" -c core.hooksPath=/dev/null am -q --committer-date-is-author-date \
	   "${patches[@]}" 2>&1); then
	next=$(cat "$(plain_git -C "$work" rev-parse --git-path rebase-apply/next)")
	echo "$out" >&2
	die "${patches[next - 1]#"$top/"} does not apply to $(plain_git log -1 --format=%s pristine):" \
		"$(grep -m1 ^error: <<< "$out")"
fi
plain_git branch -q -f patches-applied "$(plain_git -C "$work" rev-parse HEAD)"

# The cover letter's own words end where git's list of commits begins.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; cleanup' EXIT
git mailinfo "$tmp/body" /dev/null < "$top/$cover" > "$tmp/head"
{
	sed -n 's/^Subject: //p' "$tmp/head"
	echo
	sed '/^[^ ].* ([0-9]*):$/,$d' "$tmp/body"
} > "$tmp/description"
plain_git config branch.patches-applied.description "$(cat "$tmp/description")"
