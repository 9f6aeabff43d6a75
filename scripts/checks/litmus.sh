#!/usr/bin/env bash
# What the kernel's memory model says of docs/litmus/: what the first comment of each says?
# Skipped, which run.sh takes for a failure, where there is no herd7 to be had: it comes from
# Debian's newest suite.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/debian.sh"

need_tree
dir=$build/herd

# get PACKAGE: the newest one, unpacked, not installed
get() {
	local deb version

	deb=$(find_deb "$1" "$dir")
	if [ -z "$deb" ]; then
		version=$(versions_of "$1" | sed -n 1p)
		[ -n "$version" ] || { echo "the mirror has no $1"; return 1; }
		download "$1" "$version" "$dir"
		deb=$(find_deb "$1" "$dir")
	fi
	dpkg-deb -x "$deb" "$dir"
}

# With the C library of its own suite
herd() {
	local lib=$dir/usr/lib/x86_64-linux-gnu

	"$lib/ld-linux-x86-64.so.2" --library-path "$lib" "$dir/usr/bin/herd7" \
		-set-libdir "$dir/usr/share/herdtools7/herd" "$@"
}

get_herd() {
	mkdir -p "$dir"
	[ -n "$(find_deb libgmp10 "$dir")" ] || read_suites sid || return
	get herdtools7 && get libc6 && get libgmp10 && herd -version
}

# says FILE: "Sometimes" or "Never", and "Flag data-race" if there is one
says() {
	(cd "$tree/tools/memory-model" &&
		herd -conf linux-kernel.cfg "$1") |
		awk '/^Observation/ { said = $3 } /^Flag data-race/ { flag = ", Flag data-race" } END { print said flag }'
}

if ! (get_herd) > "$build/herd.log" 2>&1; then
	skip "litmus tests" "no herd7: $(tail -n 1 "$build/herd.log")"
	totals
	exit
fi
for file in "$top"/docs/litmus/*.litmus; do
	want=$(sed -n 's/^(\* //p' "$file")
	said=$(says "$file")
	name=$(basename "$file" .litmus)
	if [ "$said" = "$want" ]; then ok "$name: $said"; else not_ok "$name # is ${said:-nothing}, not $want"; fi
done
totals
