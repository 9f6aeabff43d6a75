# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after kernel.sh by checks that look at one commit after the other, or compare
# the series with the pristine tree.

# go_to COMMIT: check it out in build/per-commit/linux, which is this script's from then on: others
# that run beside it wait.
go_to() {
	if [ -z "${commit_lock:-}" ]; then
		exec {commit_lock}> "$build/.per-commit.lock"
		flock "$commit_lock"
	fi
	work_tree "$commit_tree" "$1"
}

# configure_commit OUT FRAGMENT...: configure for build/per-commit/linux, if it has other
# Kconfig files than the last time.
configure_commit() {
	local fragments state before how=configure

	mkdir -p "$1"
	fragments=$(sum_of "${@:2}")
	state="$fragments $(plain_git -C "$commit_tree" ls-files -s '*Kconfig*' | sha256sum)"
	before=$(cat "$1/.kconfig" 2>/dev/null) || true
	[ "$state" != "$before" ] || return 0
	[[ $before != "$fragments "* ]] || how=reconfigure
	rm -f "$1/.kconfig"
	$how "$commit_tree" "$@" && echo "$state" > "$1/.kconfig"
}

# touched PATTERN...: the files of the kernel that the series changes or adds.
touched() {
	plain_git diff --name-only pristine "$branch" -- "$@" ':!tools'
}

# A configuration with all the C files the series touches
touch_all=("$top"/scripts/configs/{base,x86_64,tests,per-commit}.config)

# says OUT ARGUMENT...: make, and print what the compiler says, without line numbers.
# Of what was up to date, that is what it said when it compiled that; OUT/said has it,
# by object, and is not there if that is not known.
says() {
	local out=$1 ret=0

	mv "$out/said" "$out/said.before" 2>/dev/null || : > "$out/said.before"
	kmake "$commit_tree" "$out" -O "${@:2}" > "$out/log" 2>&1 || ret=$?
	sed "s|$commit_tree/||g" "$out/log" | awk -v before="$out/said.before" '
		/^  (CC|CHECK) / { object = $NF; sub(/\.[co]$/, "", object); again[object] = 1; next }
		/^  [A-Z]+ / { object = $NF }
		/: (warning|error): / {
			sub(/:[0-9:]* warning: /, ": warning: "); sub(/:[0-9:]* error: /, ": error: ")
			now[++n] = object "\t" $0
		}
		END {
			while ((getline line < before) > 0) {
				split(line, field, "\t")
				if (!(field[1] in again))
					print line
			}
			for (i = 1; i <= n; i++)
				print now[i]
		}' > "$out/said.now"
	cut -f2- "$out/said.now"
	[ $ret != 0 ] || mv "$out/said.now" "$out/said"
	return $ret
}

# what_says OUT ARGUMENT...: the same of the C files in build/per-commit/linux that the series
# touches.
what_says() {
	local out=$1 objects=() file

	configure_commit "$out" "${touch_all[@]}" || return
	while read -r file; do
		[ ! -e "$commit_tree/$file" ] || objects+=("${file%.c}.o")
	done < <(touched '*.c')
	[ -e "$out/said" ] || (cd "$out" && rm -f "${objects[@]}")
	says "$out" "${@:2}" "${objects[@]}"
}

# only_in AFTER BEFORE: the lines AFTER has more of.
only_in() {
	comm -23 <(sort "$1") <(sort "$2")
}

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
	sum_of "${touch_all[@]}" "${nopci[@]}" "$top"/scripts/lib/{compare,kernel}.sh
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
