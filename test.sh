#!/usr/bin/env bash
# Runs all tests and prints what failed, what was skipped, and what the tests have to say. Arguments go to go test.
set -uo pipefail
cd "$(dirname "$0")"
export CGO_ENABLED=0 # the program gives up its privileges in all threads, which cgo makes impossible
go test -v -count=1 -timeout 20m "$@" ./... 2>&1 | grep -vE '^\s*(=== |--- PASS|PASS$)'
exit "${PIPESTATUS[0]}"
