#!/usr/bin/env bash
# Is each set good alone, on the pristine tree with only the sets it needs?  Does it apply,
# and not without one of those; and compile without a new warning?  And all that without the
# patches at the end of pci-shmem-bar that a maintainer may refuse?  With "apply", nothing is
# compiled; with "boot", it is to pass the tests that concern it.
#
# usage: sets.sh [apply|boot]
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"
. "$top/scripts/lib/commit-tree.sh"
. "$top/scripts/lib/warnings.sh"
. "$top/scripts/lib/clone.sh"
. "$top/scripts/lib/sets.sh"

mode=${1:-compile}
need_tree
work=$build/sets		# a build/ of its own, for the kernels that boot
applied=$work/applied
mkdir -p "$work"

# apply_sets NAME...: apply these sets, one after the other, as git am does it
apply_sets() {
	local name

	rm -rf "$applied/.git/rebase-apply"
	git -C "$applied" checkout -q -f --detach pristine
	for name; do
		plain_git format-patch --stdout --full-index "${set_begin[$name]}..${set_end[$name]}" |
			GIT_COMMITTER_NAME=sets GIT_COMMITTER_EMAIL=sets@localhost \
			git -C "$applied" am -q --committer-date-is-author-date > "$applied/.git/log" 2>&1 || return
	done
}

# tests_for NAME: what is to pass in its kernel
tests_for() {
	case $1 in
	mm)			echo vfio ;;
	kernfs|kernfs-huge)	echo stress:1000 ;;
	vmwgfx|qxl)		echo "drm:$1*" ;;
	kunit-pci|pci-enable)	echo kunit ;;
	pci-shmem-bar)		echo sample kunit ;;
	drm-shmem-bar)		echo sample drm ;;
	sample-1g)		echo sample ;;
	rust)			echo kunit ;;	# and "make rust"
	esac
}

# applied_commit: what is in $applied, made known to build/linux
applied_commit() {
	plain_git fetch -q --no-tags "$applied" HEAD
	git -C "$applied" rev-parse HEAD
}

# compiles TEXT COMMIT: what is in $applied, unless it is that commit's tree, which per-commit.sh compiles
compiles() {
	[ "$mode" != apply ] || return 0
	[ "$(git -C "$applied" rev-parse 'HEAD^{tree}')" != "$(plain_git rev-parse "$2^{tree}")" ] || return 0
	go_to "$(applied_commit)"
	ok_if_empty "$1 compiles" "$(new_to_say)"
}

# passes NAME: the tests that concern it, on a kernel of what is in $applied
passes() {
	local commit test words

	commit=$(applied_commit)
	work_tree "$work/linux" "$commit"
	if ! PCI_SHMEM_BUILD=$work "$top/scripts/build.sh" set > "$work/$1.log" 2>&1; then
		not_ok "$1 # does not build, see $work/$1.log"
		return
	fi
	for test in $(tests_for "$1"); do
		IFS=: read -ra words <<< "$test"
		# Indented, as the count is not that of this stage
		if PCI_SHMEM_BUILD=$work "$top/scripts/boot.py" set "${words[@]}" > "$work/$1-${test//[:*]/-}.log" 2>&1; then
			ok "$1: $test: $(tail -n 1 "$work/$1-${test//[:*]/-}.log")"
		else
			not_ok "$1: $test"
			sed 's/^/    /' "$work/$1-${test//[:*]/-}.log" | tail -n 40
		fi
	done
}

# without_unmanaged NAME: from the patch on that makes the unmanaged form public, nothing of its
# set is needed by other sets.
without_unmanaged() {
	local all=${set_end[pci-shmem-bar]} first

	first=$(plain_git log --format=%H --grep='^PCI: Add the unmanaged form of pci_shmem_bar$' \
		"${set_begin[pci-shmem-bar]}..$all")
	[ -n "$first" ] || die "pci-shmem-bar has no patch of that name any more"
	set_end[pci-shmem-bar]=$first^
	if apply_sets "${needs[@]}" "$1"; then
		ok "$1 applies without the unmanaged form"
		compiles "$1, without the unmanaged form," "$all"
	else
		not_ok "$1 # does not apply without the unmanaged form: $(grep -m1 '^error:' "$applied/.git/log")"
	fi
	set_end[pci-shmem-bar]=$all
}

read_sets "$tree"
new_clone "$applied" "$tree" pristine
[ "$mode" != compile ] || say_before
for name in "${set_names[@]}"; do
	read -ra needs <<< "${set_needs[$name]}"
	if ! apply_sets "${needs[@]}" "$name"; then
		not_ok "$name # does not apply with ${needs[*]:-nothing}: $(grep -m1 '^error:' "$applied/.git/log")"
	elif [ "$mode" = boot ]; then
		passes "$name"
	else
		ok "$name applies with ${needs[*]:-nothing}"
		compiles "$name" "${set_end[$name]}"
		# The type in Rust is a user of the unmanaged form.
		[[ $name = rust || " ${needs[*]} " != *" pci-shmem-bar "* ]] || without_unmanaged "$name"
		for need in "${needs[@]}"; do
			# Not for its text, but for functions, and for mm that can split what the sample makes
			case "$name $need" in
			"drm-shmem-bar pci-shmem-bar"|"sample-1g mm")	continue ;;
			esac
			mapfile -t others < <(printf '%s\n' "${needs[@]}" | grep -vx "$need")
			if apply_sets "${others[@]}" "$name"; then
				not_ok "$name # applies without $need: does it need that?"
			elif grep -qE '^error: .*(patch does not apply|does not exist in index|already exists in index)$' "$applied/.git/log"; then
				ok "$name does not apply without $need"
			else
				not_ok "$name without $need # $(tail -n 1 "$applied/.git/log")"
			fi
		done
	fi
done
[ "$mode" != compile ] || need_all_options
totals
