# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after kernel.sh by checks that look at one commit after the other, or compare
# the series with the pristine tree.

# go_to COMMIT: check it out in build/each/linux.
go_to() {
	if [ ! -e "$each/.git" ]; then
		rm -rf "$each"
		plain_git worktree prune
		plain_git worktree add -q --detach "$each" "$1"
	fi
	plain_git -C "$each" checkout -q -f --detach "$1"
}

# configure_each OUT FRAGMENT...: configure for build/each/linux, if it has other
# Kconfig files than the last time.
configure_each() {
	local state

	mkdir -p "$1"
	state=$(plain_git -C "$each" ls-files -s '*Kconfig*'; cat "${@:2}")
	[ "$state" != "$(cat "$1/.kconfig" 2>/dev/null)" ] || return 0
	rm -f "$1/.kconfig"
	configure "$each" "$@" && echo "$state" > "$1/.kconfig"
}

# touched PATTERN...: the files the series changes or adds.
touched() {
	plain_git diff --name-only pristine "$branch" -- "$@"
}

# A configuration with all the C files the series touches
touch_all=("$top"/scripts/configs/{base,x86_64,tests,each}.config)

# says OUT ARGUMENT...: make, and print what the compiler says, without line numbers.
# Of what was up to date, that is what it said when it compiled that; OUT/said has it,
# by object, and is not there if that is not known.
says() {
	local out=$1 ret=0

	mv "$out/said" "$out/said.before" 2>/dev/null || : > "$out/said.before"
	kmake "$each" "$out" -O "${@:2}" > "$out/log" 2>&1 || ret=$?
	sed "s|$each/||g" "$out/log" | awk -v before="$out/said.before" '
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

# what_says OUT ARGUMENT...: the same of the C files in build/each/linux that the series
# touches.
what_says() {
	local out=$1 objects=() file

	configure_each "$out" "${touch_all[@]}" || return
	while read -r file; do
		[ ! -e "$each/$file" ] || objects+=("${file%.c}.o")
	done < <(touched '*.c')
	[ -e "$out/said" ] || (cd "$out" && rm -f "${objects[@]}")
	says "$out" "${@:2}" "${objects[@]}"
}

# only_in AFTER BEFORE: the lines AFTER has more of.
only_in() {
	comm -23 <(sort "$1") <(sort "$2")
}
