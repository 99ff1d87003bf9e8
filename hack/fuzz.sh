#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/fuzz.sh TIME: runs each fuzz target for so long with one worker, two targets on each core at
# once. What makes one fail is kept below its package's testdata/fuzz, where it is a test from then on.
set -euo pipefail
time=${1:-30s}
at_once=$((2 * $(nproc)))
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# fuzz FILE:TARGET: prints what the run printed when it has ended, so that targets do not mix. Until
# Go 1.27 a run may call its own end a failure (https://go.dev/issue/75804): it says nothing but
# "context deadline exceeded" then, and has found no input.
fuzz() {
  local package target log status=0
  package=./$(dirname "${1%%:*}") target=${1#*:func }
  log=$logs/$target
  go test -vet=off -run '^$' -fuzz "^$target\$" -fuzztime "$time" -parallel 1 "$package" >"$log" 2>&1 || status=$?
  printf '%s: %s for %s\n%s\n' "$package" "$target" "$time" "$(<"$log")"
  if [ $status != 0 ] && ! grep -q 'Failing input' "$log" &&
    [ "$(sed -n '/^--- FAIL/,/^FAIL/{//!p}' "$log")" = "    context deadline exceeded" ]; then
    echo "$package: $target ran its time and found nothing; its failure is Go's issue 75804"
    return 0
  fi
  return $status
}
export -f fuzz
export time logs

mapfile -t targets < <(git ls-files '*_test.go' | xargs grep -Eo '^func Fuzz[A-Za-z0-9_]+')
if [ ${#targets[@]} = 0 ]; then
  echo "fuzz: no target was found" >&2
  exit 1
fi
# One after the other first: side by side each would compile the standard library for fuzzing itself.
mapfile -t packages < <(printf '%s\n' "${targets[@]%%:*}" | xargs -n 1 dirname | sort -u)
for package in "${packages[@]}"; do
  go test -vet=off -c -fuzz . -o "$logs/built" "./$package"
done
# shellcheck disable=SC2016 # The inner shell expands it.
printf '%s\0' "${targets[@]}" | xargs -0 -P "$at_once" -I{} bash -c 'fuzz "$1"' -- {} || {
  echo "fuzz: a target failed" >&2
  exit 1
}
echo "fuzz: ${#targets[@]} targets, $time each with one worker, $at_once at once on $(nproc) cores"
