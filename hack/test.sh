#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# hack/test.sh quick|unit|race|mc|native|plain|node|e2e|chart [go test flags]: builds what the tests run
# against, then runs them. unit is race, mc and then plain.
# hack/test.sh mutate [-run regexp] [-e2e]: breaks the product, and runs the tests that have to notice.
set -euo pipefail
suite=$1
shift
cluster="go run ./e2e/cluster"
# Lint runs vet already; without debug information test binaries link in half the time.
run="go test -vet=off -ldflags=-w"

# unraced are packages whose whole tests run without the race detector: protocol and queue are
# pure and walk hundreds of thousands of worlds, which take ten times as long under it.
unraced="./populator/protocol ./populator/queue"
# waiting are the packages that take longest, because they wait: they begin first, and more
# packages run at once than there are processors.
waiting="./mover ./mover/faultinjection ./populator ./certs"
# measuring are packages that run with it too, but also have a test of time or memory, which
# is skipped there, or one that plays fewer seeds.
measuring="./cmd/manager ./populator"

# tools builds the programs that unit tests run against. A test without one fails, none skips.
tools() {
  hack/debian.sh gcc mount mkswap mkfs.ext4 mkfs.xfs mkfs.btrfs mkfs.vfat mkfs.ntfs sgdisk cryptsetup
  export PATH=$PATH:/usr/sbin:/sbin
  local assets=$PWD/bin/assets
  $cluster tools --into "$assets" etcd kube-apiserver kube-controller-manager kubectl mc minio versitygw toxiproxy helm csi-sanity >/dev/null
  export KUBEBUILDER_ASSETS=$assets REQUIRE_TOOLS=1
  export MOVER_TEST_MC=$assets/mc MOVER_TEST_VERSITYGW=$assets/versitygw
  export MOVER_TEST_MINIO=$assets/minio MOVER_TEST_TOXIPROXY=$assets/toxiproxy
}

# cluster_tools builds what a node and its stories run, before `go test` counts the time: on a new machine
# it takes longer than they do. What is missing here is built by who needs it.
cluster_tools() {
  $cluster tools kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl etcd \
    containerd containerd-shim-runc-v2 ctr coredns csi-provisioner csi-resizer csi-snapshotter \
    snapshot-controller csi-sanity versitygw minio mc s5cmd rclone helm >/dev/null
}

# race is with the engine Native of the mover, whose connections are ours; mc is its suite with the other one.
race() {
  local excluded packages
  export MOVER_TEST_ENGINE=Native
  # shellcheck disable=SC2086 # Lists of packages.
  excluded=$(go list $unraced $waiting)
  mapfile -t packages < <(go list ./... | grep -vxF "$excluded")
  # shellcheck disable=SC2086 # A list of packages.
  CGO_ENABLED=1 $run -p $((2 * $(nproc))) -race -shuffle=on -timeout 30m "$@" $waiting "${packages[@]}"
}

mc() {
  MOVER_TEST_ENGINE=MC $run -shuffle=on -timeout 20m "$@" ./mover
}

plain() {
  # shellcheck disable=SC2086 # A list of packages.
  $run -shuffle=on -timeout 20m "$@" $unraced $measuring
}

case $suite in
quick)
  # Needs nothing but Go: the decisions, the builders, the progress endpoint.
  $run -short -timeout 20m "$@" ./populator/... ./internal/s3uri ./internal/sizing ./internal/annotated
  ;;
unit)
  tools
  race "$@"
  mc "$@"
  plain "$@"
  ;;
race)
  tools
  race "$@"
  ;;
mc)
  tools
  mc "$@"
  ;;
native)
  # Of the race, the suite of the mover alone.
  tools
  MOVER_TEST_ENGINE=Native CGO_ENABLED=1 $run -race -shuffle=on -timeout 30m "$@" ./mover
  ;;
plain)
  tools
  plain "$@"
  ;;
node)
  cluster_tools
  $run -tags e2e -count 1 -timeout 20m "$@" ./e2e/cluster/node
  ;;
e2e)
  cluster_tools
  $run -tags e2e -count 1 -timeout 40m "$@" ./e2e
  ;;
mutate)
  tools
  exec go run ./hack/mutate "$@"
  ;;
chart)
  cluster_tools
  $run -tags e2e -count 1 -timeout 20m "$@" ./e2e/chart
  ;;
*)
  echo "usage: hack/test.sh quick|unit|race|mc|native|plain|node|e2e|chart [go test flags], or mutate [-run regexp] [-e2e]" >&2
  exit 2
  ;;
esac
