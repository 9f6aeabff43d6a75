#!/usr/bin/env bash
# checkpatch on every patch.  FILE_PATH_CHANGES asks for a MAINTAINERS entry
# whenever a file is added, even where one covers it already.  b4 0.12 cannot
# read a mail whose Subject: or From: takes two lines.
. "$(dirname "$0")/lib.sh"

need_tree
cd "$tree"
PATH=/usr/bin:$PATH	# for Debian's python3, which finds Debian's modules
passed=0 failed=0
for patch in "$top"/patches/*.patch; do
	if sed -n '/^From: /,/^$/p' "$patch" | grep '^ '; then
		echo "${patch##*/}: a header is too long for b4: shorten it"
		failed=$((failed + 1))
	elif scripts/checkpatch.pl --strict --codespell --no-signoff \
		--ignore FILE_PATH_CHANGES "$patch"; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
