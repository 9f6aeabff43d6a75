#!/usr/bin/env bash
# checkpatch on every patch.  b4 0.12 cannot read a mail whose Subject: or From:
# takes two lines.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/checkpatch.sh"

need_tree
for patch in "$top"/patches/*.patch; do
	if sed -n '/^From: /,/^$/p' "$patch" | grep '^ '; then
		not_ok "${patch##*/} # a header is too long for b4: shorten it"
	elif checkpatch --no-signoff "$patch"; then
		ok "${patch##*/}"
	else
		not_ok "${patch##*/}"
	fi
done
totals
