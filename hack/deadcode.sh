#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when nothing reaches a function: no program and no test at all, or, for code that is
# shipped, a test only.
set -euo pipefail
deadcode=$(go run ./e2e/cluster tools deadcode)
status=0
report() { # what arguments...: runs the tool. That it fails is no answer that nothing was found.
  local what=$1 found
  shift
  if ! found=$("$deadcode" "$@"); then
    echo "deadcode: the tool failed: $deadcode $*" >&2
    exit 1
  fi
  if [ -n "$found" ]; then
    printf 'deadcode: %s:\n%s\n' "$what" "$found" >&2
    status=1
  fi
}
report "reached by no program and no test" -test -tags e2e ./...
report "shipped, and reached by tests only" ./cmd/...
[ $status != 0 ] || echo "deadcode: every function is reached"
exit $status
