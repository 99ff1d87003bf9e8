#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/test.sh quick|unit|e2e|chart [go test flags]: builds what the tests run against, then runs them.
set -euo pipefail
suite=$1
shift
cluster="go run ./e2e/cluster"

case $suite in
quick)
  # Needs nothing but Go: the decisions, the builders, the progress endpoint.
  exec go test -short -vet=off -ldflags=-w -timeout 20m "$@" \
    ./populator/... ./internal/s3uri ./internal/sizing ./internal/annotated
  ;;
unit)
  assets=$PWD/bin/assets
  $cluster tools --into "$assets" etcd kube-apiserver kubectl mc versitygw helm csi-sanity >/dev/null
  export KUBEBUILDER_ASSETS=$assets REQUIRE_TOOLS=1
  export MOVER_TEST_MC=$assets/mc MOVER_TEST_VERSITYGW=$assets/versitygw
  # Lint runs vet already; without debug information the thirty test binaries link in half the time.
  exec go test -vet=off -ldflags=-w -timeout 20m "$@" ./...
  ;;
e2e)
  exec go test -vet=off -ldflags=-w -tags e2e -count 1 -timeout 40m "$@" ./e2e
  ;;
chart)
  exec go test -vet=off -ldflags=-w -tags e2e -count 1 -timeout 20m "$@" ./e2e/chart
  ;;
*)
  echo "usage: hack/test.sh quick|unit|e2e|chart [go test flags]" >&2
  exit 2
  ;;
esac
