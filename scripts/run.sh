#!/usr/bin/env bash
# Run stages one after the other, and say of each, when it ends, how long it took and what its
# tests came to; build/summary.md and build/results.xml (JUnit) say it to others.  A stage is a
# script here or in checks/ and its arguments, as in
# "build:plain".  One with a + before it runs beside those that follow, but not beside
# another with a +, as long as there are some without: there are never more than two.
# With a ~ before its name, a stage that has passed is not run again until something has
# changed: what such stages read, the branch, or the packages of this machine.
#
# V=1 shows what the stages say.  SLOW=N makes all limits of time N times as long.
if [ -z "${RUN_SH:-}" ]; then
	# A make that is killed takes this with it, even if it has no time to say so.
	! command -v setpriv >/dev/null || RUN_SH=yes exec setpriv --pdeathsig TERM "$0" "$@"
fi
unset RUN_SH
. "$(dirname "$0")/lib/common.sh"

mkdir -p "$build/logs"
# The stages have it open, too: it is locked until the last of them has ended.
exec 9> "$build/.lock"
flock -n 9 || die "another run is using $build"

limit=$((7200 * slow))		# seconds, for each stage
todo=("$@") queue=()		# to come: all, and of those beside others the ones whose turn it is
front='' beside=''		# what runs
passed=0 failed=0 skipped=0 bad=''
reported=()			# SECONDS yes|no PASSED FAILED SKIPPED STAGE
declare -A pid begun		# by stage, of those that run
declare -A inputs		# of those with a ~: what all_inputs said when they were started
declare -A last			# how long each took the last time that it passed
while read -r took stage; do
	last[$stage]=$took
done < <(cat "$build/logs/times" 2>/dev/null)

# Each stage is a process group, so that all of it can be ended.
end_stages() {
	local each

	for each in "${!pid[@]}"; do
		! runs "$each" || kill -TERM -- "-${pid[$each]}" 2>/dev/null || true
	done
}

# At a time of our choosing, so that none that has ended is forgotten
signalled=
trap 'signalled=yes' INT TERM HUP

at_end() {
	trap '' INT TERM HUP
	if [ -n "$signalled" ]; then
		clear_line
		report_ended
		echo "interrupted in ${!pid[*]}"
		end_stages
		summary
	fi
	end_stages
}
trap at_end EXIT

# path_of NAME: the script of a stage
path_of() {
	local path

	for path in "$top"/scripts/{checks/,}"$1".{sh,py}; do
		[ ! -x "$path" ] || { echo "$path"; return; }
	done
	die "no stage $1 in scripts/"
}

# Add up the "N passed, N failed, N skipped" lines of a log.
tally() {
	awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
	     END { if (n) print p, f, s }' "$1"
}

# is_needed STAGE: by all that follow, and has no tests
is_needed() {
	[[ $1 =~ ^(tools:.*|disk:.*|fetch|apply|build:.*)$ ]]
}

# judge STAGE STATUS LOG: set p, f and s, of a stage without tests to nothing
judge() {
	p='' f='' s=''
	read -r p f s < <(tally "$3") || true
	# It failed, whatever the tests say; or they have failed, whatever it says; or nothing
	# was tested.
	if [ "${f:-0}" = 0 ] && { [ "$2" != 0 ] || { ! is_needed "$1" && [ "${p:-0}" = 0 ]; }; }; then
		f=1
		[ "$2" != 0 ] || echo "not ok - $1 # nothing in it has passed" >> "$3" || true
	fi
	[ "${f:-0}" = 0 ]
}

# write_results: build/results.xml and build/summary.md
write_results() {
	local each stage took good p f s

	{
		echo '<?xml version="1.0" encoding="UTF-8"?>'
		echo '<testsuites>'
		for each in "${reported[@]}"; do
			read -r took good _ _ _ stage <<< "$each"
			tests_in "$stage" -v xml=yes -v took="$took" -v good="$good"
		done
		echo '</testsuites>'
	} > "$build/results.xml"
	{
		echo "$passed passed, $failed failed, $skipped skipped in $SECONDS s${pid[*]:+; interrupted in ${!pid[*]}}"
		printf '\n| stage | s | passed | failed | skipped |\n|---|---|---|---|---|\n'
		for each in "${reported[@]}"; do
			read -r took good p f s stage <<< "$each"
			echo "| $stage | $took | $p | $f | $s |"
		done
		for each in "${reported[@]}"; do
			read -r _ good _ _ _ stage <<< "$each"
			[ "$good" = no ] || continue
			printf '\n## %s\n\n' "$stage"
			tests_in "$stage"
		done
	} > "$build/summary.md"
	for stage in "${!last[@]}"; do
		echo "${last[$stage]} $stage"
	done > "$build/logs/times"
}

# summary: the totals, for people and for programs
summary() {
	write_results 2>/dev/null || echo "$build/summary.md cannot be written"
	[ $((passed + failed + skipped)) != 0 ] || return 0
	echo
	[ ${#reported[@]} -lt 10 ] || echo "slowest: $(printf '%s\n' "${reported[@]}" | sort -rn |
		awk 'NR <= 6 { printf "%s%s %d s", (NR > 1 ? ", " : ""), $6, $1 }'), all $SECONDS s"
	[ "$failed" = 0 ] || echo "failed:$bad; build/summary.md and build/results.xml say it again"
	echo "$passed passed, $failed failed, $skipped skipped"
}

# file_of STAGE SUFFIX: a stage can have more arguments than the name of a file has room for
file_of() {
	local name=${1//:/-}

	echo "$build/logs/${name:0:200}.$2"
}

log_of() {
	file_of "$1" log
}

# tests_in STAGE AWK-OPTION...: see tests.awk
tests_in() {
	awk -v stage="$1" "${@:2}" -f "$top/scripts/lib/tests.awk" "$(log_of "$1")" | iconv -c -f UTF-8 -t UTF-8
}

# Where a stage leaves its status when it ends.  By then, and long before that is seen,
# another process may have its number, and bash knows nothing of it any more.
status_of() {
	file_of "$1" status
}

# Where is written for what inputs a stage has passed
passed_of() {
	file_of "$1" passed
}

# all_inputs STAGE: one number for what a stage with a ~ can depend on; none if the tree has
# changes that are not committed.  Of these stages, only readme-commands reads pages.
all_inputs() {
	local entry files=() entries=(scripts patches series kernel-tree-overlay samples MAINTAINERS-snippet)

	[ -z "$(plain_git status --porcelain 2>&1)" ] || return 0
	[ "$1" != readme-commands ] || entries+=(docs README.md)
	for entry in "${entries[@]}"; do
		[ ! -e "$top/$entry" ] || files+=("$top/$entry")
	done
	{
		sum_of "${files[@]}"
		plain_git rev-parse HEAD pristine "$branch"
		plain_git config --get-regexp '^branch\.'
		dpkg-query -W 2>/dev/null || true
	} | sha256sum
}

# has_passed STAGE: and nothing has changed since
has_passed() {
	local now

	now=$(all_inputs "$1")
	[ -n "$now" ] && [ "$now" = "$(cat "$(passed_of "$1")" 2>/dev/null)" ]
}

start() {
	local script words log file

	[ -z "${pid[$1]:-}" ] || die "$1 runs already"
	IFS=: read -ra words <<< "$1"
	script=$(path_of "${words[0]}")
	log=$(log_of "$1")
	file=$(status_of "$1")
	rm -f "$(passed_of "$1")" "$file"
	[ -z "${inputs[$1]+x}" ] || inputs[$1]=$(all_inputs "$1")
	begun[$1]=$EPOCHSECONDS
	: > "$log"
	set -m
	{
		status=0
		"$script" "${words[@]:1}" || status=$?
		echo "$status" > "$file"
	} >> "$log" 2>&1 < /dev/null &
	pid[$1]=$!
	set +m
	[ -z "${V:-}" ] || tail -n +1 -f --pid="${pid[$1]}" "$log" 9>&- &
}

runs() {
	[ ! -s "$(status_of "$1")" ] && kill -0 "${pid[$1]}" 2>/dev/null
}

# next_beside: start the next one that is to run beside others
next_beside() {
	[ ${#queue[@]} != 0 ] || return 0
	beside=${queue[0]}
	queue=("${queue[@]:1}")
	start "$beside"
}

# next_front: start the next one of the others, or when there is none, of those beside them
next_front() {
	while [ ${#todo[@]} != 0 ]; do
		stage=${todo[0]}
		todo=("${todo[@]:1}")
		if [[ $stage == *~* ]]; then
			stage=${stage/\~/}
			if has_passed "${stage#+}"; then
				clear_line
				printf '%-21s before  ' "${stage#+}"
				report "${stage#+}" 0 0
				continue
			fi
			inputs[${stage#+}]=
		fi
		if [[ $stage == +* ]]; then
			queue+=("${stage#+}")
			[ -n "$beside" ] || next_beside
		else
			front=$stage
			start "$front"
			return
		fi
	done
	[ ${#queue[@]} != 0 ] || return 0
	front=${queue[0]}
	queue=("${queue[@]:1}")
	start "$front"
}

# left: how long the rest takes, if it takes as long as the last time
left() {
	local all=0 mine=0 each more='' seconds

	for each in "$front" "$beside" "${todo[@]}" "${queue[@]}"; do
		each=${each#+} each=${each#\~}
		[ -n "$each" ] || continue
		seconds=${last[$each]:-}
		[ -n "$seconds" ] || { more="more than "; continue; }
		[ -z "${pid[$each]:-}" ] || seconds=$((seconds - (EPOCHSECONDS - begun[$each])))
		[ "$seconds" -gt 0 ] || continue
		all=$((all + seconds))
		[ "$seconds" -le "$mine" ] || mine=$seconds
	done
	all=$((all / 2 > mine ? all / 2 : mine))	# two run at a time
	[ $all = 0 ] || echo ", $more$(((all + 59) / 60)) min left"
}

# running: what runs, for how long
running() {
	local each text=

	for each in "$front" "$beside"; do
		[ -z "$each" ] || text+="${text:+, }$each $((EPOCHSECONDS - begun[$each])) s"
	done
	echo "$text$(left)"
}

clear_line() {
	[ ! -t 1 ] || printf '\r%79s\r' ''
}

# await: until one of them ends, show what runs and, on a terminal, what is being done
await() {
	local shown=$SECONDS each

	while :; do
		for each in "${!pid[@]}"; do
			runs "$each" || return 0
			[ $((EPOCHSECONDS - begun[$each])) -le "$limit" ] || end_late "$each"
		done
		if [ -n "${V:-}" ]; then
			:
		elif [ -t 1 ]; then
			printf '\r%-79.79s' "$(running): $(tail -n 1 "$(log_of "${front:-$beside}")" | tr -d '\r')"
		elif [ $SECONDS -ge $((shown + 300)) ]; then
			shown=$SECONDS
			echo "... $(running)"
		fi
		sleep 0.2 || true
		[ -z "$signalled" ] || exit 1
	done
}

# end_late STAGE: it does not end by itself
end_late() {
	kill -TERM -- "-${pid[$1]}" 2>/dev/null || true
	sleep 2
	kill -KILL -- "-${pid[$1]}" 2>/dev/null || true
	echo "not ok - $1 # takes more than $limit s: SLOW=2 allows it twice that" >> "$(log_of "$1")"
	wait "${pid[$1]}" 2>/dev/null || true
}

# Of those that run, report the ones that have ended
report_ended() {
	local each status file

	for each in "${!pid[@]}"; do
		! runs "$each" || continue
		wait "${pid[$each]}" 2>/dev/null || true
		file=$(status_of "$each")
		# Not there if it was killed, or the disk is full
		status=$(cat "$file" 2>/dev/null) || true
		took=$(($(stat -c %Y "$file" 2>/dev/null || echo $EPOCHSECONDS) - begun[$each]))
		clear_line
		printf '%-21s %4d s  ' "$each" "$took"
		report "$each" "${status:-1}" "$took"
		unset "pid[$each]"
		# TAP's plan, unless it died
		[ -z "$p" ] || echo "1..$(grep -cE '^(not )?ok - ' "$(log_of "$each")")" >> "$(log_of "$each")" || true
		if [ "$each" = "$beside" ]; then
			beside=
			continue
		fi
		front=
		if [ "$good" = no ] && is_needed "$each"; then
			todo=() queue=()
		fi
	done
}

# skips LOG: what was skipped, in a line for each reason
skips() {
	awk -F ' # SKIP ' '
	/^ok - .* # SKIP / {
		if (!($2 in n))
			reasons[++m] = $2
		if (++n[$2] <= 3)
			names[$2] = names[$2] (n[$2] > 1 ? ", " : "") substr($1, 6)
	}
	END {
		for (i = 1; i <= m; i++) {
			why = reasons[i]
			print "    skipped: " names[why] (n[why] > 3 ? " and " n[why] - 3 " more" : "") ": " why
		}
	}' "$1"
}

# report STAGE STATUS SECONDS: what is in its log
report() {
	local log

	log=$(log_of "$1")
	good=yes
	judge "$1" "$2" "$log" || good=no
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
	reported+=("$3 $good ${p:--} ${f:--} ${s:--} $1")
	[ $good = yes ] || echo -n "FAILED  "
	echo "${p:+$p passed, $f failed, $s skipped}"
	skips "$log"
	if [ $good = yes ]; then
		[ -z "${inputs[$1]:-}" ] || echo "${inputs[$1]}" > "$(passed_of "$1")"
		[ -z "${begun[$1]:-}" ] || last[$1]=$3
		return
	fi
	bad+=" $1"
	tests_in "$1"
	echo "    log: $log"
	[ "$(df --output=avail -B1M "$build" | tail -n 1)" -gt 100 ] || echo "    $build is full"
}

while :; do
	[ -n "$front" ] || next_front
	[ -n "$beside" ] || next_beside
	[ -n "$front$beside" ] || break
	await
	report_ended
done
summary
[ "$failed" = 0 ]
