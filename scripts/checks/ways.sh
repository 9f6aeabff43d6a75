#!/usr/bin/env bash
# The ways people take and send the patches: the commands of README.md, word for
# word, in a clone of build/linux with little more than the files they touch.
# Nothing is sent: b4 writes to a directory, the mail server is /bin/false, and
# there is no network on machines that let us do without.
# shellcheck disable=SC2016 # the variables in the commands are the reader's
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/checkpatch.sh"

need_tree
plain_git rev-parse -q --verify "refs/heads/$branch" >/dev/null ||
	die "no branch $branch in build/linux: run 'make apply'"

scratch=$build/ways
clone=$scratch/linux
patches=("$top"/patches/*.patch)
sender='The Sender <sender@localhost>'

trap 'rm -rf "$scratch"' EXIT
rm -rf "$scratch"
mkdir -p "$scratch/home"
cat > "$scratch/home/.gitconfig" <<'CONFIG'
[user]
	name = The Sender
	email = sender@localhost
[sendemail]
	smtpServer = /bin/false
CONFIG

offline=()
! unshare -rn true 2>/dev/null || offline=(unshare -rn)

# in_clone COMMAND...: with nobody's settings; Debian's python3 before others.
in_clone() {
	(cd "$clone" && "${offline[@]}" env -i PATH="/usr/bin:$PATH" LC_ALL=C \
		HOME="$scratch/home" GIT_CONFIG_NOSYSTEM=1 GIT_SEQUENCE_EDITOR=true \
		REPO="$top" BASE=pristine MBOX="$scratch/mbox" COVER="$scratch/cover" \
		OUT="$scratch/out" "$@")
}

# readme LINE: run it, if README.md has it.
readme() {
	grep -qxF -e "    $1" "$top/README.md" || die "README.md does not say: $1"
	in_clone bash -e -o pipefail -c "$1"
}

# try NAME FUNCTION.  In the background, because bash ignores -e in a condition.
try() {
	"$2" > "$scratch/log" 2>&1 &
	if wait $!; then
		ok "$1"
	else
		not_ok "$1"
		tail -n 20 "$scratch/log" | sed 's/^/    /'
	fi
}

# start BRANCH COMMIT: put BRANCH there, whatever the last test left behind.
start() {
	rm -rf "$clone/.git/rebase-apply" "$clone/.git/rebase-merge"
	in_clone git reset -q --hard
	in_clone git clean -qfdx
	in_clone git checkout -q -B "$1" "$2"
}

same_files() {
	in_clone git diff --stat --exit-code "$1" HEAD || die "the files differ from $1"
}

# log_of COMMIT [FORMAT]
log_of() {
	in_clone git log --format="${2:-%an <%ae>%n%B}" "pristine..$1"
}

same_commits() {
	same_files "$1"
	diff <(log_of "$1") <(log_of HEAD) || die "authors or messages differ from $1"
}

git_am() {
	start taken pristine
	readme 'git am $REPO/patches/*.patch'
	same_commits "origin/$branch"
}

# As a list would carry it.
make_mbox() {
	in_clone git config branch.taken.description "$(plain_git config "branch.$branch.description")"
	in_clone git format-patch -q --cover-letter --cover-from-description=subject \
		--thread --stdout pristine > "$scratch/mbox"
	[ "$(grep -c '^Message-Id: ' "$scratch/mbox")" = $((${#patches[@]} + 1)) ]
}

b4_am() {
	start taken pristine
	readme 'b4 am -m $MBOX -o - | git am'
	same_commits "origin/$branch"
}

b4_shazam() {
	start taken pristine
	readme 'b4 --offline-mode shazam -m $MBOX'
	same_commits "origin/$branch"
}

# A commit of what is there, .gitignore or not.
commit_all() {
	in_clone git add -A -f -- . ':!.pc'
	in_clone git commit -q -m quilt
}

quilt_push() {
	start taken pristine
	readme 'QUILT_PATCHES=$REPO/patches QUILT_SERIES=$REPO/series quilt push -a'
	commit_all
	same_files "origin/$branch"
}

quilt_pop() {
	readme 'quilt pop -a'
	commit_all
	same_files pristine
}

sign_off() {
	start taken pristine
	readme 'git checkout -b shmem-bar $BASE'
	readme 'git am --signoff $REPO/patches/*.patch'
	readme "git rebase --exec 'git commit --amend --no-edit --reset-author' \$BASE"
	same_files "origin/$branch"
	diff <(log_of "origin/$branch" "$sender%n%BSigned-off-by: $sender%n") <(log_of HEAD)
	in_clone git branch signed
}

no_sign_off() {
	! grep '^Signed-off-by:' "$top"/patches/*
}

# The sample is added by one patch and touched by no other.
v2() {
	local file=samples/pci/ivshmem_sample.c out=$scratch/out
	local cover=$out/v2-0000-cover-letter.patch

	rm -rf "$out"
	start shmem-bar signed
	readme 'git tag shmem-bar-v1'
	echo '/* Changed in v2 */' >> "$clone/$file"
	in_clone git commit -q -a --fixup "$(in_clone git log -1 --format=%H -- $file)"
	readme 'git rebase -i --autosquash $BASE'
	readme 'git format-patch -v2 --cover-letter --range-diff=$BASE..shmem-bar-v1 -o $OUT $BASE'
	cat "$cover"
	# One patch changed, in that line; the others did not.
	[ "$(grep -cE '^ *[0-9]+: +[0-9a-f]+ = +[0-9]+: ' "$cover")" = $((${#patches[@]} - 1)) ]
	[ "$(grep -cE '^ *[0-9]+: +[0-9a-f]+ ! +[0-9]+: ' "$cover")" = 1 ]
	[ "$(grep '^    [-+]' "$cover")" = '    ++/* Changed in v2 */' ]
	in_clone git branch changed
	start taken pristine
	in_clone git am -q --empty=drop "$out"/*.patch	# not the cover letter
	same_commits changed
}

b4_send() {
	local out=$scratch/out mails

	rm -rf "$out"
	start shmem-bar signed
	readme 'git -C $REPO/build/linux config branch.pci-shmem-bar.description > $COVER'
	readme 'b4 prep -e $BASE'
	readme 'EDITOR="cp $COVER" b4 prep --edit-cover'
	readme 'b4 prep --auto-to-cc'
	readme 'b4 send -o $OUT --no-sign'
	cat "$out"/0000-*
	diff <(sed '1,2d' "$scratch/cover") <(sed '1,/^$/d; /^---$/,$d' "$out"/0000-* | sed '$d')
	grep -qxF "Subject: [PATCH 00/${#patches[@]}] $(head -n 1 "$scratch/cover")" "$out"/0000-*
	# Its parent, with b4 0.12 and prep-cover-strategy=branch-description.
	grep -qx "base-commit: $(in_clone git rev-parse pristine)" "$out"/0000-*
	sed '/^$/q' "$out"/0000-* | grep 'linux-pci@vger.kernel.org'
	start taken pristine
	mails=("$out"/*.eml)
	in_clone git am -q "${mails[@]:1}"	# without the cover letter
	same_commits signed
}

b4_checkpatch() {
	local mails=("$scratch"/out/*.eml)

	[ ${#mails[@]} = $((${#patches[@]} + 1)) ] || die "${#mails[@]} mails"
	checkpatch -q "${mails[@]:1}"
}

plain_git -c advice.detachedHead=false clone -q --shared --no-checkout --branch pristine "$tree" "$clone"
{
	patched_files | sed 's|^|/|'
	# For get_maintainer.pl, which wants to see that this is a kernel tree.
	printf '%s\n' '/*' '!/*/' '/*/Kconfig' '/*/Makefile' /scripts/get_maintainer.pl
} | in_clone git sparse-checkout set --no-cone --stdin
in_clone git checkout -q --detach pristine

try "git am" git_am
try "a thread of mails can be made of it" make_mbox
try "b4 am" b4_am
try "b4 shazam" b4_shazam
try "quilt push" quilt_push
try "quilt pop" quilt_pop
try "patches/ has no Signed-off-by" no_sign_off
try "git am --signoff, and the sender as author" sign_off
try "v2 with a range-diff" v2
try "b4 prep and b4 send to a directory" b4_send
try "checkpatch on what b4 sends" b4_checkpatch

totals
