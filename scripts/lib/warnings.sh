# shellcheck shell=bash disable=SC2154
# Sourced after commit-tree.sh by checks that want to know what gcc and sparse say of a commit, and
# not of the pristine tree.

# sparse 0.6.4 needs help, or kbuild finds it unfit and silently goes without:
# it does not know __typeof_unqual__.  It cannot tell the length of a string in
# the static_assert() of MODULE_ macros either, calls that an error, and then
# says nothing else about the file.
sparse="sparse -D__typeof_unqual__=__typeof__ -D'__builtin_strlen(s)=(sizeof(s)-1)'"

gcc=$build/kernel-per-commit
nopci=("$top"/scripts/configs/{base,nopci}.config)

# nothing_changed OUT: since it compiled the commit in OUT/compiled.  make takes seconds to
# find that out, and of most commits, a kernel without PCI has nothing.
nothing_changed() {
	local changed

	[ -e "$1/compiled" ] && [ -e "$1/said" ] || return
	changed=$(plain_git -C "$commit_tree" diff --name-only --no-renames "$(cat "$1/compiled")") || return
	! grep -qE '(^|/)(Kconfig|Makefile|Kbuild)' <<< "$changed" &&
		# Not -q, with which cat would fail
		! find "$1" -name '.*.cmd' -print0 | xargs -0 cat | grep -F "$changed" > /dev/null
}

# all_say: of what is in build/per-commit/linux, with gcc (W=1, which includes kernel-doc) and
# sparse, and without PCI
all_say() {
	what_says "$gcc" W=1 C=1 CHECK="$sparse" || echo "does not compile"

	if nothing_changed "$gcc-nopci"; then
		cut -f2- "$gcc-nopci/said"
		return
	fi
	configure_commit "$gcc-nopci" "${nopci[@]}"
	[ -e "$gcc-nopci/said" ] || rm -rf "$gcc-nopci"/{drivers,fs,samples}
	says "$gcc-nopci" W=1 drivers/ fs/ samples/ || echo "does not compile without PCI"
	plain_git -C "$commit_tree" rev-parse HEAD > "$gcc-nopci/compiled"
}

# state_before: what it depends on what they say of the pristine tree
state_before() {
	plain_git rev-parse pristine
	touched '*.c'
	sum_of "${touch_all[@]}" "${nopci[@]}" "$top"/scripts/lib/{warnings,commit-tree,kernel}.sh
	gcc --version
	sparse --version
}

# say_before: what they say of the pristine tree
say_before() {
	local state

	state=$(state_before)
	[ "$state" != "$(cat "$gcc/state_before" 2>/dev/null)" ] || return 0
	rm -f "$gcc/state_before"
	go_to pristine
	mkdir -p "$gcc"
	rm -f "$gcc-nopci/compiled"	# by a compiler that may have changed
	all_say > "$gcc/before"
	! grep "does not compile" "$gcc/before" || die "the pristine tree does not compile: see $gcc*/log"
	# Or a sparse that does not work would find nothing in the series either.
	grep -q '^drivers/gpu/drm/qxl/.*different address spaces' "$gcc/before" ||
		die "sparse does not say of the pristine qxl what it should: see $gcc/log"
	echo "$state" > "$gcc/state_before"
}

# new_to_say: what they say now, and did not before
new_to_say() {
	all_say > "$gcc/after"
	only_in "$gcc/after" "$gcc/before"
}

# need_all_options: was all of that compiled in the end?
need_all_options() {
	need_options "$gcc" "${touch_all[@]}"
	need_options "$gcc-nopci" "${nopci[1]}"
}
