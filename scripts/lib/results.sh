# shellcheck shell=bash disable=SC2034
# Sourced after common.sh by scripts that test something: what came of it.

passed=0 failed=0 skipped=0

ok() {
	echo "ok - $1"
	passed=$((passed + 1))
}

not_ok() {
	echo "not ok - $1"
	failed=$((failed + 1))
}

# skip NAME WHY: as KTAP says it; run.sh shows it
skip() {
	echo "ok - $1 # SKIP $2"
	skipped=$((skipped + 1))
}

# ok_if_empty NAME TEXT
ok_if_empty() {
	if [ -n "$2" ]; then
		not_ok "$1"
		echo "$2"
	else
		ok "$1"
	fi
}

# What run.sh adds up; false if something failed, or nothing passed
totals() {
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" != 0 ]
}
