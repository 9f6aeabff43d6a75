#!/usr/bin/env bash
# Run shellcheck on every script.
. "$(dirname "$0")/lib.sh"

cd "$top"
shellcheck -x -P SCRIPTDIR scripts/*.sh .ci/run
