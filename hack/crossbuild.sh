#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/crossbuild.sh ARCH...: builds the manager and the mover for other architectures and reads
# from each binary what it was built for.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for arch in "$@"; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch go build -trimpath -ldflags '-s -w' -o "$dir/$arch/" ./cmd/...
  for program in manager mover; do
    go version -m "$dir/$arch/$program" | grep -q "GOARCH=$arch$" || {
      echo "crossbuild: $program is not for $arch" >&2
      exit 1
    }
  done
  echo "crossbuild: the manager and the mover build for linux/$arch"
done
