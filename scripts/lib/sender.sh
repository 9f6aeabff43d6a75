# shellcheck shell=bash disable=SC2034,SC2154
# Sourced after results.sh by checks that take and send patches as others do, in $scratch.
# Nothing is sent: the mail server is /bin/false, and there is no network on machines that
# let us do without.

sender='Test Sender <test@example.org>'
offline=()
! unshare -rn true 2>/dev/null || offline=(unshare -rn)

trap 'rm -rf "$scratch"' EXIT
rm -rf "$scratch"
mkdir -p "$scratch"/{home,anybody}
cat > "$scratch/home/.gitconfig" <<'CONFIG'
[user]
	name = Test Sender
	email = test@example.org
[sendemail]
	smtpServer = /bin/false
CONFIG

# as HOME [VARIABLE=VALUE...] COMMAND...: with the settings in $scratch/HOME, and no other;
# Debian's python3 before others.
as() {
	"${offline[@]}" env -i PATH="/usr/bin:$PATH" LC_ALL=C HOME="$scratch/$1" GIT_CONFIG_NOSYSTEM=1 "${@:2}"
}

# ok_if NAME COMMAND...  In the background, because bash ignores -e in a condition.
ok_if() {
	"${@:2}" > "$scratch/log" 2>&1 &
	if wait $!; then
		ok "$1"
	else
		not_ok "$1"
		tail -n 20 "$scratch/log" | sed 's/^/    /'
	fi
}
