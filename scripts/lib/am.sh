#!/usr/bin/env bash
# git am patches/ to the pristine tree, in build/am, a repository that holds only
# the files they touch.  It gets the branches of the sets in series, too, with the
# cover letters as their descriptions.
. "$(dirname "$0")/common.sh"
. "$top/scripts/lib/clone.sh"
. "$top/scripts/lib/sets.sh"

need_tree
work=$build/am
patches=("$top"/patches/*.patch)

new_clone "$work" "$tree" pristine
if ! out=$(GIT_COMMITTER_NAME=series GIT_COMMITTER_EMAIL=series@localhost \
	   git -C "$work" am -q --committer-date-is-author-date "${patches[@]}" 2>&1); then
	next=$(cat "$work/.git/rebase-apply/next")
	echo "$out" >&2
	die "${patches[next - 1]#"$top/"} does not apply to $(plain_git log -1 --format=%s pristine):" \
		"$(grep -m1 ^error: <<< "$out")"
fi
git -C "$work" branch -q -f "$branch" HEAD

# The cover letter's own words end where git's list of commits begins.
words_of() {
	git mailinfo "$work/.git/body" /dev/null < "$1" | sed -n 's/^Subject: //p'
	echo
	sed '/^[^ ].* ([0-9]*):$/,$d' "$work/.git/body"
}

# end_set COMMIT: the set $name ends there.
end_set() {
	local end letter

	end=$(end_of "$name")
	git -C "$work" branch -q "$end" "$1"
	git -C "$work" config "branch.$end.needs" "$needs"
	for letter in "$top"/patches/*-cover-"$name".txt; do
		[ ! -e "$letter" ] || git -C "$work" config "branch.$end.description" "$(words_of "$letter")"
	done
}

commit=pristine name='' needs=''
while read -r line; do
	case $line in
	"# set "*)
		[ -z "$name" ] || end_set "$commit"
		read -r name needs <<< "${line#"# set "}"
		needs=${needs#needs } needs=${needs#nothing} ;;
	[!#]*)
		read -r commit || die "series has more patches than patches/" ;;
	esac <&3
done < "$top/series" 3< <(git -C "$work" rev-list --reverse "pristine..$branch")
[ -z "$name" ] || end_set "$commit"
