# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after kernel.sh by checks that look at one commit after the other: where it is
# checked out, and what a compiler says of it.

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
