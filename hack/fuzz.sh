#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/fuzz.sh TIME: runs each fuzz target for so long, one after the other. What makes one fail
# is kept below its package's testdata/fuzz, where it is a test from then on.
set -euo pipefail
time=${1:-30s}
count=0
while IFS=: read -r file target; do
  target=${target#func }
  count=$((count + 1))
  echo "$(dirname "$file"): $target for $time"
  go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
done < <(git ls-files '*_test.go' | xargs grep -Eo '^func Fuzz[A-Za-z0-9_]+')
if [ "$count" = 0 ]; then
  echo "fuzz: no target was found" >&2
  exit 1
fi
echo "fuzz: $count targets, $time each"
