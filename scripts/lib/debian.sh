# shellcheck shell=bash disable=SC2154
# Sourced after common.sh by those that take kernel sources from the machine's Debian
# mirror.

# A private apt: the machine's mirror and keys, but none of its settings.
private_apt() {
	apt-"$1" -q -o Dir::Etc::sourcelist="$build/apt/sources.list" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$build/apt/lists" \
		-o Dir::Cache="$build/apt/cache" -o APT::Sandbox::User=root "${@:2}"
}

# The machine's Debian mirror of SUITE, if it has one
mirror_of() {
	local uri='!/-security/'

	[[ $1 != *-security ]] || uri='/-security/'
	# shellcheck disable=SC2016 # apt's variables, not the shell's
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' |
		sed -n 's/^Debian //p' | sort -u | awk "$uri && !n++"
}

# read_suites SUITE...: have the private apt know these, and only these.
read_suites() {
	local mirror suite

	mkdir -p "$build"/apt/{lists,cache/archives}/partial
	for suite; do
		mirror=$(mirror_of "$suite")
		[ -z "$mirror" ] ||
			echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
	done > "$build/apt/sources.list"
	if [ ! -s "$build/apt/sources.list" ]; then
		note "apt on this machine names no Debian mirror" >&2
		return 1
	fi
	private_apt get update
}

# What read_suites found of a package, the newest first
versions_of() {
	private_apt cache madison "$1" | cut -d'|' -f2 | tr -d ' '
}

# find_deb PACKAGE DIR
find_deb() {
	find "$2" -maxdepth 1 -name "$1_*.deb" -print -quit
}

# download PACKAGE VERSION DIR
download() {
	(cd "$build/apt" && private_apt get download "$1=$2") ||
		die "cannot download $1 $2: is the network up?"
	mv "$build/apt/${1}"_*.deb "$3"
}

# add DIR COMMAND...: one of git's that add files to the repository in DIR
add() {
	git -C "$1" -c core.compression=0 "${@:2}"
}

# unpack PACKAGE DEB DIR [FILE...]: its sources, or only these FILEs, as far as it
# has them.  Those that are complete, as the next one has begun, are added meanwhile.
unpack() {
	local names=("${@:4}")

	mkdir -p "$3"
	git -C "$3" init -q -b pristine-import
	dpkg-deb --fsys-tarfile "$2" | tar -xO "./usr/src/$1.tar.xz" | xz -dT0 | {
		tar -xv -C "$3" --strip-components=1 --show-transformed-names --quoting-style=literal \
			"${names[@]/#/$1/}" 2> "$3.log" ||
			! grep -vE ': (Not found in archive|Exiting with failure status)' "$3.log" >&2
	} | awk 'NR > 1 && last !~ "/$" { print last } { last = $0 }' | add "$3" update-index --add --stdin
	rm "$3.log"

	# Debian's packaging ignores everything there is, new files included.
	[ ! -f "$3/.gitignore" ] || sed -i -e '\|^/\*$|d' -e '\|^!/debian/$|d' "$3/.gitignore"
}

# import DIR MESSAGE: make DIR a repository, of one commit of everything, the same
# everywhere.
import() {
	[ -e "$1/.git" ] || git -C "$1" init -q -b pristine-import
	# Each file is an object of its own, as git reads a pack it has written once more, to
	# hash it.  So many would be packed by git itself at the next commit.
	git -C "$1" config gc.auto 0
	add "$1" add -A -f .
	GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z \
		git -C "$1" -c user.name=import -c user.email=import@localhost \
		-c commit.gpgSign=false commit -q --no-verify -m "$2"
}
