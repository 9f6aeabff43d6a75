#!/usr/bin/env bash
# Run stages one after the other, and say how long each took and what its tests
# came to.  A stage is a script here or in checks/ and its arguments, as in
# "build:plain".  One with a + before it runs beside those that follow, but not beside
# another with a +, as long as there are some without: there are never more than two.
# With a ~ before its name, a stage that has passed is not run again until something has
# changed: the files here, the branch, or the packages of this machine.
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

passed=0 failed=0 skipped=0 times=()
declare -A pid begun		# by stage, of those that run
declare -A inputs		# of those with a ~: what all_inputs said when they were started
queue=() beside='' ended=()	# of those beside others: to come; the one that runs; to be reported

# Each stage is a process group, so that all of it can be ended.
end_stages() {
	local each

	for each in "${!pid[@]}"; do
		! runs "$each" || kill -TERM -- "-${pid[$each]}" 2>/dev/null || true
	done
}
trap end_stages EXIT
trap 'echo; die "interrupted in ${!pid[*]}"' INT TERM HUP

# path_of NAME: the script of a stage
path_of() {
	local path

	for path in "$top"/scripts/{,checks/}"$1".{sh,py}; do
		[ ! -x "$path" ] || { echo "$path"; return; }
	done
	die "no stage $1 in scripts/"
}

# Add up the "N passed, N failed, N skipped" lines of a log.
tally() {
	awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5; n++ }
	     END { if (n) print p, f, s }' "$1"
}

# judge STAGE STATUS LOG: set p, f and s, of a stage without tests to nothing
judge() {
	p='' f='' s=''
	read -r p f s < <(tally "$3") || true
	case $1 in
	tools:*|disk:*|fetch|apply|build:*) ;;
	*)	[ -n "$p" ] || p=1 f=0 s=0 ;;
	esac
	# It failed, whatever the tests say; or they have failed, whatever it says.
	if [ "$2" != 0 ] && [ "${f:-0}" = 0 ]; then
		f=1
		[ "${p:-0}" != 1 ] || p=0
	fi
	[ "${f:-0}" = 0 ]
}

summary() {
	[ $((passed + failed + skipped)) != 0 ] || return 0
	echo
	[ ${#times[@]} -lt 10 ] || echo "slowest: $(printf '%s\n' "${times[@]}" | sort -rn |
		awk 'NR <= 6 { printf "%s%s %d s", (NR > 1 ? ", " : ""), $2, $1 }'), all $SECONDS s"
	echo "$passed passed, $failed failed, $skipped skipped"
}

log_of() {
	echo "$build/logs/${1//:/-}.log"
}

# Where a stage leaves its status when it ends.  By then, and long before it is reported,
# another process may have its number, and bash knows nothing of it any more.
status_of() {
	echo "$build/logs/${1//:/-}.status"
}

# Where is written for what inputs a stage has passed
passed_of() {
	echo "$build/logs/${1//:/-}.passed"
}

# all_inputs: one number for what a stage with a ~ can depend on; none if the tree has
# changes that are not committed
all_inputs() {
	local entry files=()

	[ -z "$(plain_git status --porcelain 2>&1)" ] || return 0
	for entry in "$top"/* "$top/.ci"; do
		[ "$entry" = "$top/build" ] || files+=("$entry")
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

	now=$(all_inputs)
	[ -n "$now" ] && [ "$now" = "$(cat "$(passed_of "$1")" 2>/dev/null)" ]
}

start() {
	local script words log file

	IFS=: read -ra words <<< "$1"
	script=$(path_of "${words[0]}")
	log=$(log_of "$1")
	file=$(status_of "$1")
	rm -f "$(passed_of "$1")" "$file"
	[ -z "${inputs[$1]+x}" ] || inputs[$1]=$(all_inputs)
	begun[$1]=$EPOCHSECONDS
	set -m
	{
		status=0
		"$script" "${words[@]:1}" || status=$?
		echo "$status" > "$file"
	} > "$log" 2>&1 < /dev/null &
	pid[$1]=$!
	set +m
}

runs() {
	[ ! -e "$(status_of "$1")" ] && kill -0 "${pid[$1]}" 2>/dev/null
}

# Has the one beside others ended?  Then it is the next one's turn.
turn() {
	if [ -n "$beside" ] && ! runs "$beside"; then
		ended+=("$beside")
		beside=''
	fi
	if [ -z "$beside" ] && [ ${#queue[@]} != 0 ]; then
		beside=${queue[0]}
		queue=("${queue[@]:1}")
		start "$beside"
	fi
}

# await STAGE: until it ends, show that time passes and, on a terminal, what is being done
await() {
	local begin=$SECONDS shown=0 now

	while runs "$1"; do
		sleep 0.2
		turn
		now=$((SECONDS - begin))
		if [ -t 1 ]; then
			printf '\r%-21s %4d s  %-50.50s' "$1" $now "$(tail -n 1 "$(log_of "$1")" | tr -d '\r')"
		elif [ $now -ge $((shown + 60)) ]; then
			shown=$now
			printf ' %d s ...' $now
		fi
	done
	[ ! -t 1 ] || printf '\r%78s\r%-21s' '' "$1"
}

# finish STAGE: wait until it ends, and report
finish() {
	local status took file

	printf '%-21s' "$1"
	await "$1"
	wait "${pid[$1]}" 2>/dev/null || true
	unset "pid[$1]"
	file=$(status_of "$1")
	[ -s "$file" ] || echo 1 > "$file"	# it was killed
	status=$(cat "$file")
	took=$(($(stat -c %Y "$file") - begun[$1]))
	printf ' %4d s  ' "$took"
	times+=("$took $1")
	report "$1" "$status"
}

# report STAGE STATUS: what is in its log
report() {
	local log good=yes

	log=$(log_of "$1")
	judge "$1" "$2" "$log" || good=
	passed=$((passed + ${p:-0})) failed=$((failed + ${f:-0})) skipped=$((skipped + ${s:-0}))
	if [ -n "$good" ]; then
		echo "${p:+$p passed, $f failed, $s skipped}"
		sed -n 's/^ok - \(.*\) # SKIP /    skipped: \1: /p' "$log"
		[ -z "${inputs[$1]:-}" ] || echo "${inputs[$1]}" > "$(passed_of "$1")"
		return
	fi
	echo "FAILED"
	echo "--- end of $log"
	tail -n 40 "$log" | sed 's/^/    /'
}

# Of those beside others, the ones that have ended meanwhile
report_ended() {
	local each

	for each in "${ended[@]}"; do
		finish "$each"
	done
	ended=()
}

for stage in "$@"; do
	if [[ $stage == *~* ]]; then
		stage=${stage/\~/}
		if has_passed "${stage#+}"; then
			printf '%-21s before  ' "${stage#+}"
			report "${stage#+}" 0
			continue
		fi
		inputs[${stage#+}]=
	fi
	if [[ $stage == +* ]]; then
		queue+=("${stage#+}")
		turn
		continue
	fi
	before=$failed
	start "$stage"
	finish "$stage"
	stop=
	[ "$failed" = "$before" ] || case $stage in
	# What the others need
	tools:*|disk:*|fetch|apply|build:*)
		stop=yes ;;
	esac
	report_ended
	[ -z "$stop" ] || break
done
# Those that have not had their turn, in the place of the others
[ -z "${stop:-}" ] || queue=()
while [ ${#queue[@]} != 0 ]; do
	stage=${queue[0]}
	queue=("${queue[@]:1}")
	start "$stage"
	finish "$stage"
	report_ended
done
report_ended
[ -z "$beside" ] || finish "$beside"

summary
[ "$failed" = 0 ]
