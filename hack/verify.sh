#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when a generated file, a go.mod or the formatting is not what the tools would write, or
# when a module in the cache is not what go.sum says.
# Works on a copy, so that a dirty tree is neither needed nor made.
set -euo pipefail
copy=$(mktemp -d)
trap 'rm -rf "$copy" "$copy.before"' EXIT

# A file that was removed but not committed is still listed.
mapfile -d '' -t files < <(git ls-files --cached --others --exclude-standard -z)
for file in "${files[@]}"; do
  if [ -e "$file" ]; then printf '%s\0' "$file"; fi
done | tar -c --null -T - | tar -x -C "$copy"
cp -a "$copy" "$copy.before"

hack/generate.sh "$copy"
mapfile -t modules < <(cd "$copy" && find . -name go.mod -printf '%h\n' | sort)
# tidy FOLDER: a module that is not to be had for a moment is asked for again.
tidy() {
  local again=$PWD/hack/again.sh
  if ! { cd "$1" && "$again" go mod tidy && go mod verify >/dev/null; }; then
    echo "verify: in $1" >&2
    return 1
  fi
}
export -f tidy
# shellcheck disable=SC2016 # The inner shell expands it.
printf '%s\n' "${modules[@]}" | (cd "$copy" && xargs -P "$(nproc)" -I{} bash -c 'tidy "$1"' -- {}) || {
  echo "verify: where the network cannot be reached, this step cannot pass" >&2
  exit 1
}
(cd "$copy" && find . -name '*.go' -print0 | xargs -0 gofmt -w)
kubectl=$(go run ./e2e/cluster tools kubectl)
"$kubectl" kustomize manifests/default >/dev/null

if ! diff -ru "$copy.before" "$copy"; then
  echo "verify: run 'make generate fmt' and 'go mod tidy' in the folders above, then commit" >&2
  exit 1
fi
echo "verify: generated files, ${#modules[@]} go.mod files, module checksums and formatting are up to date"
