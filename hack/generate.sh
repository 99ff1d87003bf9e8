#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates everything generated in the tree given as $1.
set -euo pipefail
gen=$(go run ./e2e/cluster tools controller-gen)
cd "$1"
"$gen" object paths=./api/...
"$gen" crd:generateEmbeddedObjectMeta=false paths=./api/... output:crd:dir=manifests/crd
# The rights on certificates are roles of their own: with a real cert-manager nobody needs them.
"$gen" rbac:roleName=s3populator-certificates 'paths={./certs/...}' output:rbac:dir=manifests/rbac
mv manifests/rbac/role.yaml manifests/rbac/certificates_role.yaml
"$gen" rbac:roleName=s3populator 'paths={./populator/...,./transfer/...,./webhook/...,./cmd/manager/...}' output:rbac:dir=manifests/rbac
# Helm reads no file outside of a chart, so the chart has copies of what both ways of installing share.
chart=manifests/chart/files
rm -rf "$chart"
mkdir -p "$chart/crd" "$chart/objects" "$chart/policy" "$chart/protect" "$chart/cert-manager" "$chart/release"
cp manifests/crd/s3populator.io_*.yaml "$chart/crd"
cp manifests/rbac/{role,service_account,bindings,certificates_role,certificates_bindings,user_roles}.yaml manifests/manager/{services,disruption_budget,network_policy}.yaml "$chart/objects"
cp manifests/policy/{claims,injection,rights,exports,imports,sources,manager,manager_volumes}.yaml "$chart/policy"
for kind in claims namespaces; do cp "manifests/components/protect-$kind/policy.yaml" "$chart/protect/$kind.yaml"; done
cp manifests/release/release.yaml "$chart/release"
cp manifests/components/cert-manager/{certificate,issuers}.yaml "$chart/cert-manager"
cp manifests/webhook/configuration.yaml "$chart/webhook.yaml"
go run ./hack/apidocs > docs/api.md.new && mv docs/api.md.new docs/api.md
