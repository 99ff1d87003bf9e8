#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fails when a generated file, go.mod or the formatting is not what the tools would write.
# Works on a copy, so that a dirty tree is neither needed nor made.
set -euo pipefail
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files --cached --others --exclude-standard -z | xargs -0 -I{} sh -c '[ -e "{}" ] && printf "%s\0" "{}"' | tar -c --null -T - | tar -x -C "$copy"
cp -a "$copy" "$copy.before"
trap 'rm -rf "$copy" "$copy.before"' EXIT

hack/generate.sh "$copy"
(cd "$copy" && go mod tidy)
(cd "$copy" && gofmt -w $(git -C "$OLDPWD" ls-files '*.go'))
kubectl=$(go run ./e2e/cluster tools kubectl)
"$kubectl" kustomize manifests/default >/dev/null

if ! diff -ru "$copy.before" "$copy"; then
  echo "verify: run 'make generate fmt' and 'go mod tidy', then commit" >&2
  exit 1
fi
echo "verify: generated files, go.mod and formatting are up to date"
