#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when nothing reaches a function: no program and no test at all, or, for code that is
# shipped, a test only.
set -euo pipefail
deadcode=$(go run ./e2e/cluster tools deadcode)
status=0
report() { # what found...
  if [ -n "$2" ]; then
    printf 'deadcode: %s:\n%s\n' "$1" "$2" >&2
    status=1
  fi
}
report "reached by no program and no test" "$("$deadcode" -test -tags e2e ./...)"
report "shipped, and reached by tests only" "$("$deadcode" ./cmd/...)"
[ $status != 0 ] || echo "deadcode: every function is reached"
exit $status
