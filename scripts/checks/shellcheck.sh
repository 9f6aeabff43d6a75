#!/usr/bin/env bash
# Run shellcheck on every script, and let Python compile the others.
. "$(dirname "$0")/../lib/common.sh"

cd "$top"
shellcheck -x -P SCRIPTDIR -P . scripts/*.sh scripts/*/*.sh scripts/lib/cc/gcc .ci/run
python3 - scripts/*.py scripts/*/*.py <<'PYTHON'
import sys
for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        compile(file.read(), path, "exec")
PYTHON
