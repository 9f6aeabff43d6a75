# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after common.sh by those that know of sets.
#
# A set is what goes to one tree of the kernel as one thread of mails.  It ends at the branch
# set/NAME, which "git rebase --update-refs" takes along; the last one, where the branch
# pci-shmem-bar ends.  The branch's description is the set's cover letter, and "needs" in its
# configuration are the sets that must be applied before it.

# end_of NAME: the branch where it ends
end_of() {
	echo "set/$1"
}

# read_sets REPO: set_names in order; set_begin, set_end and set_needs of each.
declare -A set_begin set_end set_needs
read_sets() {
	local begin=pristine commit end ends log name need

	log=$(git -C "$1" log --reverse --decorate-refs=refs/heads/set/ --format='%H %D' "pristine..$branch")
	for end in $(git -C "$1" for-each-ref --format='%(refname:short)' refs/heads/set/); do
		grep -qE " $end(,|$)" <<< "$log" ||
			die "$end is not on the branch any more: 'git branch -f $end COMMIT', the last one of that set"
	done
	set_names=()
	while read -r commit ends; do
		for end in ${ends//,/}; do
			name=${end#set/}
			[ "$(git -C "$1" rev-parse "$begin")" != "$commit" ] || die "set $name has no patch"
			set_needs[$name]=$(git -C "$1" config "branch.$end.needs" || true)
			for need in ${set_needs[$name]}; do
				[ -n "${set_end[$need]:-}" ] || die "set $name needs $need, which is no set before it"
			done
			set_names+=("$name")
			set_begin[$name]=$begin set_end[$name]=$commit
			begin=$commit
		done
	done <<< "$log"
	[ "$(git -C "$1" rev-parse "$begin")" = "$(git -C "$1" rev-parse "$branch")" ] ||
		die "the last commits are in no set: 'git branch -f $(end_of "${set_names[-1]:-NAME}") $branch' adds them to that one"
}

# state_of_branch: one number for all of it that is exported
state_of_branch() {
	{
		plain_git for-each-ref --format='%(refname) %(objectname)' "refs/heads/$branch" refs/heads/set/
		plain_git config --get-regexp '^branch\.set/.*\.(description|needs)$'
	} | sha256sum | cut -d' ' -f1
}
