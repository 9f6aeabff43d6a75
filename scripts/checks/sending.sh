#!/usr/bin/env bash
# Are the mails of each set what its maintainers can take?  Writes them, for a sender who does
# not exist, from a copy of build/linux, and looks at them with what reads mails: checkpatch,
# b4, git send-email.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/sets.sh"
. "$top/scripts/lib/clone.sh"

need_tree
scratch=$build/mails-check
copy=$scratch/build/linux
. "$top/scripts/lib/sender.sh"

# mails HOME SET OUT [VARIABLE=VALUE...]: mails.sh, of the copy
mails() {
	as "$1" PCI_SHMEM_BUILD="$scratch/build" "${@:4}" "$top/scripts/mails.sh" "$2" "$3"
}

copy_git() {
	git -C "$copy" -c user.name=copy -c user.email=copy@localhost "$@"
}

# copy_branches: the branches and what is known of them, as build/linux has them
copy_branches() {
	local name end key

	new_clone "$copy" "$tree" pristine
	for name in "${set_names[@]}"; do
		end=$(end_of "$name")
		copy_git branch -q -f "$end" "${set_end[$name]}"
		for key in needs description; do
			copy_git config "branch.$end.$key" "$(plain_git config "branch.$end.$key")"
		done
	done
	copy_git branch -q -f "$branch" "${set_end[${set_names[-1]}]}"
	copy_git config rebase.updateRefs true
}

# header NAME FILE: all of a mail's, as one line each
header() {
	sed '/^$/q' "$2" | sed -z 's/\n[ \t]\+/ /g' | sed -n "s/^$1: //ip"
}

# refused TEXT COMMAND...
refused() {
	local said

	said=$("${@:2}" 2>&1) && die "was accepted: $said"
	grep -F -e "$1" <<< "$said" || die "says: $said"
}

# Each mail has the same people and lists, and hangs on the first.
one_thread() {
	local first=$1 mail

	for mail in "${@:2}"; do
		[ "$(header To "$mail")" = "$(header To "$first")" ]
		[ "$(header Cc "$mail")" = "$(header Cc "$first")" ]
		[ "$(header In-Reply-To "$mail")" = "$(header Message-Id "$first")" ]
	done
}

# The lists of each set's tree; more, or another, is for a person to look at.
lists_of() {
	case $1 in
	mm)			echo linux-kselftest@vger.kernel.org linux-mm@kvack.org ;;
	kernfs|kernfs-huge)	echo driver-core@lists.linux.dev ;;
	vmwgfx)			echo dri-devel@lists.freedesktop.org ;;
	qxl|drm-shmem-bar)	echo dri-devel@lists.freedesktop.org spice-devel@lists.freedesktop.org \
					virtualization@lists.linux.dev ;;
	kunit-pci)		echo kunit-dev@googlegroups.com linux-doc@vger.kernel.org \
					linux-kselftest@vger.kernel.org linux-pci@vger.kernel.org workflows@vger.kernel.org ;;
	pci-shmem-bar)		echo driver-core@lists.linux.dev kunit-dev@googlegroups.com linux-doc@vger.kernel.org \
					linux-kselftest@vger.kernel.org linux-pci@vger.kernel.org ;;
	pci-enable)		echo kvm@vger.kernel.org linux-doc@vger.kernel.org linux-pci@vger.kernel.org ;;
	rust)			echo linux-doc@vger.kernel.org linux-pci@vger.kernel.org rust-for-linux@vger.kernel.org ;;
	sample-1g)		echo linux-doc@vger.kernel.org linux-pci@vger.kernel.org ;;
	esac
}

addressees() {
	diff <(tr ' ' '\n' <<< "$(lists_of "$name") linux-kernel@vger.kernel.org" | sort) \
		<(header Cc "$first" | tr ',' '\n' | tr -d ' ' | sort)
	[ -n "$(header To "$first")" ]
}

# What each need's patches are, as git patch-id says of the hunks that format-patch --base reads: it
# does not move them as "git log" does.
base_information() {
	local need

	grep -qx "base-commit: $(plain_git rev-parse pristine)" "$first"
	diff <(for need in ${set_needs[$name]}; do
			plain_git log --reverse -p --no-indent-heuristic "${set_begin[$need]}..${set_end[$need]}" | plain_git patch-id --stable
	       done | sed 's/\([^ ]*\) .*/prerequisite-patch-id: \1/' | sort) \
		<(grep '^prerequisite-patch-id: ' "$first" | sort)
}

# patches_in DIR: without the cover letter, which a set of one patch does not have; and the
# first mail
patches_in() {
	patches=("$1"/*.patch)
	first=${patches[0]}
	patches=("${patches[@]:mails - count}")
}

unsigned() {
	mails home "$name" "$out"
	[ "$(find "$out" -name '*.patch' | wc -l)" = "$mails" ]
	! grep -l '^Signed-off-by:\|test@example.org' "$out"/* || false
	refused "has the template subject" \
		as home git -C "$copy" send-email --dry-run --confirm=never "$out"/*.patch
}

signed() {
	local mail

	mails home "$name" "$out" SIGNOFF=yes
	patches_in "$out"
	[ "$(find "$out" -name '*.patch' | wc -l)" = "$mails" ]
	for mail in "$out"/*.patch; do
		[ "$(header From "$mail")" = "$sender" ]
	done
	for mail in "${patches[@]}"; do
		[ "$(grep '^Signed-off-by:' "$mail")" = "Signed-off-by: $sender" ]
	done
	one_thread "$out"/*.patch
}

# What git send-email would do: all that the headers say, and stable where a patch says so.
sendable() {
	as home git -C "$copy" send-email --dry-run --confirm=never "$out"/*.patch > "$scratch/sent"
	[ "$(grep -c '^Result: OK' "$scratch/sent")" = "$mails" ]
	[ "$(grep -c '^(body) Adding cc: stable@vger.kernel.org' "$scratch/sent")" = \
		"$(grep -l '^Cc: stable@' "${patches[@]}" | wc -l)" ]
}

# checkpatch ARGUMENT...: FILE_PATH_CHANGES asks for a MAINTAINERS entry whenever
# a file is added, even where one covers it already.  A tree without history
# cannot know the commit of a Fixes: tag.
checkpatch() {
	local ignore=FILE_PATH_CHANGES

	[ -n "$(plain_git config pci-shmem-bar.base)" ] || ignore+=,UNKNOWN_COMMIT_ID
	# Debian's python3, which finds Debian's modules
	(cd "$tree" && PATH=/usr/bin:$PATH \
		scripts/checkpatch.pl --strict --codespell --ignore $ignore "$@" 2>&1)
}

clean() {
	[ ${#patches[@]} = "$count" ]
	checkpatch -q "${patches[@]}"
}

# As its maintainer would take it: the thread from a mailbox, on the tree and what is needed
b4_am() {
	local need

	cat "$out"/*.patch > "$scratch/mbox"
	copy_git checkout -q --detach pristine
	for need in ${set_needs[$name]}; do
		plain_git format-patch --stdout --full-index "${set_begin[$need]}..${set_end[$need]}" | copy_git am -q
	done
	(cd "$copy" && as home b4 --offline-mode am -m "$scratch/mbox" -o -) | copy_git am -q
	# MAINTAINERS says who sends it; all else is the branch's.
	[ "$(copy_git log -"$count" --format=%an%ae | sort -u)" = "Test Sendertest@example.org" ]
	diff <(copy_git diff "HEAD~$count" HEAD -- . ':!MAINTAINERS' | git patch-id) \
		<(plain_git diff "$range" -- . ':!MAINTAINERS' | git patch-id)
	copy_git diff "HEAD~$count" HEAD -- MAINTAINERS > "$scratch/maintainers"
}

# The one who sends an entry is in it; not so who adds to one.
maintainer() {
	local entry

	entry=$(plain_git diff "$range" -- MAINTAINERS | sed -n '/^+++/d; s/^+//p' | sed '/^$/d')
	! grep '^S:' <<< "$entry" || entry=$(sed "1a M:	$sender
		s/^S:.*/S:	Maintained/" <<< "$entry")
	diff <(echo "$entry") <(sed -n '/^+++/d; s/^+//p' "$scratch/maintainers" | sed '/^$/d')
}

# A second version of a set, changed as docs/sending.md says: one patch, and nothing else
v2() {
	local file=drivers/gpu/drm/qxl/qxl_irq.c cover=$scratch/v2/v2-0000-cover-letter.patch

	copy_git checkout -q "$branch"
	echo '/* Changed in v2 */' >> "$copy/$file"
	copy_git commit -q -a --fixup "$(copy_git log -1 --format=%H "set/vmwgfx..set/qxl" -- $file)"
	GIT_SEQUENCE_EDITOR=true copy_git rebase -q -i --autosquash pristine
	mails home qxl "$scratch/v2" SIGNOFF=yes V=2 PREV="$scratch/signed-qxl"
	cat "$cover"
	header Subject "$cover" | grep '^\[PATCH v2 00/'
	[ "$(grep -cE '^ *[0-9]+: +[0-9a-f]+ = +[0-9]+: ' "$cover")" = $((count - 1)) ]
	[ "$(grep -cE '^ *[0-9]+: +[0-9a-f]+ ! +[0-9]+: ' "$cover")" = 1 ]
	[ "$(grep '^    [-+][-+]' "$cover")" = '    ++/* Changed in v2 */' ]
}

read_sets "$tree"
copy_branches
for name in "${set_names[@]}"; do
	range=${set_begin[$name]}..${set_end[$name]}
	count=$(plain_git rev-list --count "$range")
	mails=$((count == 1 ? 1 : count + 1))
	case $name in
	mm|kunit-pci)	# several mails, and one
		out=$scratch/unsigned-$name
		ok_if "$name: unsigned mails are no mails to send" unsigned ;;
	esac
	out=$scratch/signed-$name
	ok_if "$name: signed mails" signed
	patches_in "$out"
	ok_if "$name: lists" addressees
	ok_if "$name: base-commit, prerequisite-patch-id" base_information
	ok_if "$name: git send-email --dry-run" sendable
	ok_if "$name: checkpatch, with the sign-off" clean
	ok_if "$name: b4 am" b4_am
	[ ! -s "$scratch/maintainers" ] || ok_if "$name: MAINTAINERS names the sender" maintainer
done
name=qxl count=$(plain_git rev-list --count "${set_begin[qxl]}..${set_end[qxl]}")
ok_if "v2 with a range-diff" v2
ok_if "no sign-off without a name" refused "git does not know who you are" \
	mails anybody qxl "$scratch/none" SIGNOFF=yes
ok_if "no second version without a first" refused "wants PREV=" mails home qxl "$scratch/none" V=2
ok_if "no set of another name" refused "which set?" mails home nothing "$scratch/none"
ok_if "not over other mails" refused "is not empty" mails home qxl "$scratch/signed-qxl"
totals
