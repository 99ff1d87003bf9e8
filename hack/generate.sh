#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates everything generated in the tree given as $1.
set -euo pipefail
gen=$(go run ./e2e/cluster tools controller-gen)
cd "$1"
"$gen" object paths=./api/...
"$gen" crd:generateEmbeddedObjectMeta=false paths=./api/... output:crd:dir=manifests/crd
"$gen" rbac:roleName=s3populator 'paths={./populator/...,./webhook/...,./certs/...,./cmd/manager/...}' output:rbac:dir=manifests/rbac
go run ./hack/apidocs > docs/api.md.new && mv docs/api.md.new docs/api.md
