#!/usr/bin/env bash
# Run stages one after the other, and say how long each took and what its tests
# came to.  A stage is a script here and its argument, as in "build:module".
. "$(dirname "$0")/lib.sh"

mkdir -p "$build/logs"
exec 9> "$build/.lock"
flock -n 9 || die "another run is using $build"

passed=0 failed=0 skipped=0

# Show that time passes and, on a terminal, what is being done.
tick() {
	local begin=$SECONDS
	while sleep 1; do
		if [ -t 1 ]; then
			printf '\r%-18s %4d s  %-50.50s' "$1" $((SECONDS - begin)) "$(tail -n 1 "$2" 2>/dev/null | tr -d '\r')"
		elif [ $(((SECONDS - begin) % 60)) = 0 ]; then
			printf ' %d s ...' $((SECONDS - begin))
		fi
	done
}

# Add up the "N passed, N failed, N skipped" lines of a log.
tally() {
	awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
	     END { if (n) print p, f, s }' "$1"
}

summary() {
	[ $((passed + failed + skipped)) != 0 ] || return 0
	echo
	echo "$passed passed, $failed failed, $skipped skipped"
}

for stage in "$@"; do
	log=$build/logs/${stage//:/-}.log
	begin=$SECONDS
	printf '%-18s' "$stage"
	tick "$stage" "$log" 9>&- &
	ticker=$!
	trap 'kill $ticker' EXIT
	ok=yes
	IFS=: read -ra command <<< "$stage"
	"$top/scripts/${command[0]}.sh" "${command[@]:1}" > "$log" 2>&1 < /dev/null 9>&- || ok=
	kill $ticker
	trap - EXIT
	wait $ticker 2>/dev/null || true
	[ ! -t 1 ] || printf '\r%78s\r%-18s' '' "$stage"
	printf ' %4d s  ' $((SECONDS - begin))

	read -r p f s <<< "$(tally "$log")" || true
	case $stage in
	tools|fetch|apply|build:*)
		needed=yes ;;
	*)
		needed=
		[ -n "$p" ] || p=1 f=0 s=0 ;;
	esac
	if [ -z "$ok" ] && [ "${f:-0}" = 0 ]; then
		f=1
		[ "${p:-0}" != 1 ] || p=0
	fi
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
	if [ -n "$ok" ]; then
		echo "${p:+$p passed, $f failed, $s skipped}"
		grep -h 'SKIPPED\]' "$log" | sed 's/^.*SKIPPED\]/    skipped:/' || true
		continue
	fi
	echo "FAILED"
	echo "--- end of $log"
	tail -n 40 "$log" | sed 's/^/    /'
	[ -z "$needed" ] || break
done

summary
[ "$failed" = 0 ]
