#!/usr/bin/env bash
# Run the series' KUnit tests as the kernel's documentation says: kunit.py, on UML.  What came
# of them is judged as it is for guests.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
out=$build/kunit-um
mkdir -p "$out"
rm -f "$out/test.log"
status=0
(cd "$tree" && with_ccache python3 tools/testing/kunit/kunit.py run \
	--kunitconfig=drivers/pci/tests --build_dir="$out" \
	--jobs=$(($(nproc) + 1)) --timeout=$((600 * slow)) 2>&1) || status=$?
[ -e "$out/test.log" ] || die "no test has run"
# A size_t can hold the length of any BAR.
python3 "$top/scripts/host/judge.py" "$out/test.log" '*.refuse_length_over_size_t'
[ "$status" = 0 ] || die "but kunit.py failed"
