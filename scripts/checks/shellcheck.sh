#!/usr/bin/env bash
# Run shellcheck on every script, and let Python compile the others.
. "$(dirname "$0")/../lib/common.sh"
. "$top/scripts/lib/results.sh"

cd "$top"
ok_if_empty shellcheck "$(shellcheck -x -P SCRIPTDIR -P . scripts/*.sh scripts/*/*.sh scripts/lib/cc/gcc .ci/run 2>&1)"
ok_if_empty python "$(python3 - scripts/*.py scripts/*/*.py <<'PYTHON' 2>&1
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
PYTHON
)"
totals
