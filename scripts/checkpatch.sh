#!/usr/bin/env bash
# checkpatch on every patch.  b4 0.12 cannot read a mail whose Subject: or From:
# takes two lines.
. "$(dirname "$0")/lib.sh"

need_tree
passed=0 failed=0
for patch in "$top"/patches/*.patch; do
	if sed -n '/^From: /,/^$/p' "$patch" | grep '^ '; then
		echo "${patch##*/}: a header is too long for b4: shorten it"
		failed=$((failed + 1))
	elif checkpatch --no-signoff "$patch"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
