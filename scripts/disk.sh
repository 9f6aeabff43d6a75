#!/usr/bin/env bash
# Is there room in build/ for what a target needs, GIB in all?  disk.sh GIB
. "$(dirname "$0")/lib/common.sh"

mkdir -p "$build"
have=$(df --output=avail -B1M "$build" | tail -n 1)
# To count what is there takes a minute where much is, so only if that decides
used=0
[ "$have" -ge $(($1 * 1024)) ] || used=$(du -sm "$build" | cut -f1)
[ $((have + used)) -ge $(($1 * 1024)) ] ||
	die "needs $1 GiB in $build, which has $(((have + used) / 1024)) GiB: free some, or put build/ elsewhere with a symbolic link"
