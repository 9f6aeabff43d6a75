#!/usr/bin/env bash
# Write the mails of a set to a directory, as they would be sent: mails.sh SET OUT.
# Nothing is sent.  Without SIGNOFF=yes, which says that the user of git takes on the
# patches, the mails are marked, and git send-email refuses them.
#
# TREE=DIR is a git tree whose HEAD they are to apply to, instead of build/linux's; V=2
# PREV=DIR make a second version, with what changed since the mails in DIR.
. "$(dirname "$0")/lib/common.sh"
. "$top/scripts/lib/sets.sh"
. "$top/scripts/lib/clone.sh"

name=${1:-} out=${2:-} version=${V:-1}
work=$build/mails

need_tree
plain_git rev-parse -q --verify "refs/heads/$branch" >/dev/null ||
	die "no branch $branch in build/linux: run 'make apply'"
read_sets "$tree"
[[ -n $name && -n ${set_end[$name]:-} ]] || die "which set? SET= one of: ${set_names[*]}"
[ -n "$out" ] || die "where to? OUT= a directory"
[ -z "$(ls -A "$out" 2>/dev/null)" ] || die "$out is not empty: remove it, or name another"
[[ ${SIGNOFF:-no} =~ ^(yes|no)$ ]] || die "SIGNOFF=$SIGNOFF: it is yes, or not given"
[[ $version =~ ^[1-9][0-9]*$ ]] || die "V=$version is no number"
if [ "$version" != 1 ] && [ ! -d "${PREV:-}" ]; then
	die "V=$version wants PREV=, the directory with the mails of the version before"
fi
out=$(realpath -m "$out")
[[ $out/ != "$build"/* ]] || die "OUT=$out is in build/, whose files do not last: name a directory elsewhere"
exec {lock}> "$build/.mails.lock"
flock "$lock"		# $work is for one at a time
range=${set_begin[$name]}..${set_end[$name]}
count=$(plain_git rev-list --count "$range")

# with_settings COMMAND...: with those of the caller's git, who may be trusted with a tree
# of another user, and has a name.
with_settings() {
	(unset GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM; "$@")
}

source=$tree base=pristine
[ -z "${TREE:-}" ] || source=$(realpath "$TREE") base=HEAD
base=$(with_settings git -C "$source" rev-parse -q --verify "$base^{commit}") ||
	die "TREE=$TREE is no git tree with a commit"

# The sender, and the people, if this is meant.
if [ "${SIGNOFF:-no}" = yes ]; then
	mine() {
		with_settings git -C "${TREE:-$top}" config "user.$1" ||
			die "SIGNOFF=yes, but git does not know who you are: git config --global user.$1 ..."
	}
	who=$(mine name) email=$(mine email)
	[ "$email" != "$(plain_git log -1 --format=%ae "${set_end[$name]}")" ] ||
		die "git's user.email is $email, this project's address, which cannot sign off: set yours"
	marks=()
else
	who=$(plain_git log -1 --format=%an "${set_end[$name]}")
	email=$(plain_git log -1 --format=%ae "${set_end[$name]}")
	# git send-email takes these stars for a cover letter that nobody has written.
	marks=(--subject-prefix="UNSIGNED *** SUBJECT HERE ***")
fi
export SENDER="$who <$email>"
export GIT_AUTHOR_NAME=$who GIT_AUTHOR_EMAIL=$email GIT_COMMITTER_NAME=$who GIT_COMMITTER_EMAIL=$email

work_git() {
	git -C "$work" -c commit.gpgSign=false -c advice.detachedHead=false "$@"
}

# am ARGUMENT...: patches that are in the tree already are left out.
am() {
	work_git am -q -3 --no-signoff --empty=drop "$@" ||
		die "that does not apply to ${TREE:-build/linux}: see $work"
}

# start_at COMMIT: check it out with the sets that are needed
start_at() {
	work_git checkout -q --detach "$1"
	for need in ${set_needs[$name]}; do
		plain_git format-patch --stdout --full-index "${set_begin[$need]}..${set_end[$need]}" | am
	done
}

with_settings new_clone "$work" "$source" "$base" "${kernel_tree[@]}"
echo "$(plain_git rev-parse --absolute-git-dir)/objects" >> "$work/.git/objects/info/alternates"

if [ "$version" != 1 ]; then
	before=$(sed -n 's/^base-commit: //p' "$PREV"/*.patch)
	work_git cat-file -e "$before^{commit}" 2>/dev/null || before=$base
	start_at "$before"
	before=$(work_git rev-parse HEAD)
	am "$PREV"/*.patch
	marks+=(-v"$version" --range-diff="$before..$(work_git rev-parse HEAD)")
fi

start_at "$base"
begin=$(work_git rev-parse HEAD)

# addresses TO|CC OPTION...: as MAINTAINERS has them for the set's files, with neither
# the keywords of messages nor the history of files
addresses() {
	plain_git diff "$range" | (cd "$work" && scripts/get_maintainer.pl --nogit --nogit-fallback \
		--nogit-chief-penguins --nokeywords --norolestats "${@:2}") | sed "s/^/--$1=/"
}
mapfile -t to < <(addresses to --nol)
mapfile -t cc < <(addresses cc --nom --nor)
[[ ${#to[@]} != 0 && ${#cc[@]} != 0 ]] || die "get_maintainer.pl names nobody"

plain_git format-patch --stdout --full-index "$range" | am
[ "$(work_git rev-parse HEAD)" != "$begin" ] || die "TREE=$TREE has all of $name already"
if [ "${SIGNOFF:-no}" = yes ]; then
	# Who sends a new entry of MAINTAINERS maintains it, but not who adds to it.
	export TITLE
	TITLE=$(head -n 1 "$top/MAINTAINERS-snippet")
	cat > "$work/.git/take-on" <<'SH'
if git diff HEAD^ -- MAINTAINERS | grep -qxF -e "+$TITLE"; then
	awk '	$0 == ENVIRON["TITLE"] { on = 1; $0 = $0 "\nM:\t" ENVIRON["SENDER"] }
		$0 == "" { on = 0 }
		on && /^S:/ { $0 = "S:\tMaintained" }
		{ print }' MAINTAINERS > .git/maintainers
	cat .git/maintainers > MAINTAINERS
fi
git commit -q -a --amend --no-edit --signoff --reset-author
SH
	work_git rebase --exec 'sh .git/take-on' "$begin" > "$work/.git/log" 2>&1 || die "see $work/.git/log"
fi

letter=()
if [ "$count" != 1 ]; then
	letter=(--cover-letter --cover-from-description=subject)
	work_git config branch.mails.description "$(plain_git config "branch.$(end_of "$name").description")"
fi
work_git checkout -q -b mails
mkdir -p "$out"
work_git format-patch -q -o "$out" --base="$base" --thread=shallow "${letter[@]}" "${marks[@]}" \
	"${to[@]}" "${cc[@]}" "$begin..mails"

note "$(find "$out" -name '*.patch' | wc -l) mails in $out, to ${#to[@]} people and ${#cc[@]} lists"
[ -n "${TREE:-}" ] || [ -n "$(plain_git config pci-shmem-bar.base)" ] ||
	note "nobody else has their base-commit, as build/linux is no git tree of others: TREE= names one"
if [ "${SIGNOFF:-no}" = yes ]; then
	note "signed off by $SENDER, which says that you have read every line; docs/sending.md has the rest"
else
	note "NOT signed off and not to be sent: SIGNOFF=yes is for who has read every line"
fi
