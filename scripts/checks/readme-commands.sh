#!/usr/bin/env bash
# The ways people take and send the patches: the commands of the pages, word for
# word, in a clone of build/linux with little more than the files they touch.
# shellcheck disable=SC2016 # the variables in the commands are the reader's
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/clone.sh"

need_tree
plain_git rev-parse -q --verify "refs/heads/$branch" >/dev/null ||
	die "no branch $branch in build/linux: run 'make apply'"

scratch=$build/readme-commands
clone=$scratch/linux
patches=("$top"/patches/*.patch)
. "$top/scripts/lib/sender.sh"
mails=$(mktemp -d)	# not in build/
trap 'rm -rf "$scratch" "$mails"' EXIT

# in_clone COMMAND...
in_clone() {
	(cd "$clone" && as home GIT_SEQUENCE_EDITOR=true REPO="$top" MBOX="$scratch/mbox" \
		SET=vmwgfx TREE="$clone" OUT="$mails/out" NEXT="$mails/next" "$@")
}

# page FILE LINE: run it, if that page has it.
page() {
	grep -qxF -e "    $2" "$top/$1" || die "$1 does not say: $2"
	in_clone bash -e -o pipefail -c "$2"
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

# messages_of COMMIT
messages_of() {
	in_clone git log --format='%an <%ae>%n%B' "pristine..$1"
}

same_commits() {
	same_files "$1"
	diff <(messages_of "$1") <(messages_of HEAD) || die "authors or messages differ from $1"
}

git_am() {
	start taken pristine
	page README.md 'git am $REPO/patches/*.patch'
	same_commits "origin/$branch"
}

# As a list would carry it.
make_mbox() {
	in_clone git config branch.taken.description "$(plain_git config "branch.set/pci-shmem-bar.description")"
	in_clone git format-patch -q --cover-letter --cover-from-description=subject \
		--thread --stdout pristine > "$scratch/mbox"
	[ "$(grep -ci '^Message-Id: ' "$scratch/mbox")" = $((${#patches[@]} + 1)) ]
}

b4_am() {
	start taken pristine
	page docs/other-trees.md 'b4 --offline-mode am -m $MBOX -o - | git am'
	same_commits "origin/$branch"
}

b4_shazam() {
	start taken pristine
	page docs/other-trees.md 'b4 --offline-mode shazam -m $MBOX'
	same_commits "origin/$branch"
}

# A commit of what is there, .gitignore or not.
commit_all() {
	in_clone git add -A -f -- . ':!.pc'
	in_clone git commit -q -m quilt
}

quilt_push() {
	start taken pristine
	page docs/other-trees.md 'QUILT_PATCHES=$REPO/patches QUILT_SERIES=$REPO/series quilt push -a'
	commit_all
	same_files "origin/$branch"
}

quilt_pop() {
	page docs/other-trees.md 'quilt pop -a'
	commit_all
	same_files pristine
}

no_sign_off() {
	! grep '^Signed-off-by:' "$top"/patches/*
}

# docs/sending.md, from top to bottom, for one set
sending() {
	start taken pristine
	page docs/sending.md 'make -C $REPO mails SET=$SET OUT=$OUT TREE=$TREE'
	page docs/sending.md 'rm -r $OUT'
	page docs/sending.md 'make -C $REPO mails SET=$SET OUT=$OUT TREE=$TREE SIGNOFF=yes'
	page docs/sending.md 'git -C $TREE send-email --dry-run $OUT/*.patch'
	cat "$mails"/out/*.patch > "$scratch/sent"
	in_clone b4 --offline-mode am -m "$scratch/sent" -o - | in_clone git am -q
	in_clone git log --format='%an <%ae>' pristine.. | grep -vxF "$sender" && die "by somebody else"
	start taken pristine
	page docs/sending.md 'make -C $REPO mails SET=$SET OUT=$NEXT TREE=$TREE SIGNOFF=yes V=2 PREV=$OUT'
	grep -h '^Subject: \[PATCH v2 0/2\]' "$mails"/next/*
}

new_clone "$clone" "$tree" pristine "${kernel_tree[@]}"

ok_if "git am" git_am
ok_if "a thread of mails can be made of it" make_mbox
ok_if "b4 am" b4_am
ok_if "b4 shazam" b4_shazam
ok_if "quilt push" quilt_push
ok_if "quilt pop" quilt_pop
ok_if "patches/ has no Signed-off-by" no_sign_off
ok_if "sending a set, as docs/sending.md says" sending

totals
