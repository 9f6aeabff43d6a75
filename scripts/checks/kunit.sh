#!/usr/bin/env bash
# Run the series' KUnit tests as the kernel's documentation says: kunit.py, on UML.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"
. "$top/scripts/lib/kernel.sh"

need_tree
out=$build/kunit-um
mkdir -p "$out"
rm -f "$out/test.log"
status=0
parsed=$(cd "$tree" && with_ccache python3 tools/testing/kunit/kunit.py run \
	--kunitconfig=drivers/pci/tests --build_dir="$out" \
	--jobs=$(($(nproc) + 1)) --timeout=600 2>&1) || status=$?
echo "$parsed"

# Ran 58 tests: passed: 57, skipped: 1
read -r passed failed skipped < <(awk '/Testing complete/ {
		for (i = 1; i < NF; i++)
			n[$i] = $(i + 1) + 0
	}
	END { print n["passed:"] + 0, n["failed:"] + n["crashed:"] + n["errors:"], n["skipped:"] + 0 }' <<< "$parsed")
sed -n 's/^.*\[SKIPPED\] \([^ ]*\).*/ok - \1 # SKIP a size_t can hold the length of any BAR/p' <<< "$parsed" |
	grep refuse_length_over_size_t || [ "$skipped" = 0 ] || not_ok "another test was skipped"
[ "$status" = 0 ] && [ "$passed" != 0 ] || [ "$failed" != 0 ] || not_ok "kunit.py failed"
ok_if_empty "no complaint of the kernel" "$(grep -m 5 -Ef "$top/scripts/host/complaints.re" "$out/test.log" 2>&1)"
totals
