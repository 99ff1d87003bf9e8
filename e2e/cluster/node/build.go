// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"slices"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// components that are pinned tools; the others are our own programs.
var (
	toolComponents = []string{
		"etcd", "containerd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy",
		"coredns",
		"csi-provisioner", "csi-resizer", "csi-snapshotter", "snapshot-controller",
	}
	sidecars = []string{"csi-provisioner", "csi-resizer", "csi-snapshotter"}
	// runtimeTools are what containerd starts, and its client.
	runtimeTools = []string{"containerd-shim-runc-v2", "ctr"}
)

// toolsFor lists the tools of a node without some components. Sidecars have
// nothing to do without the driver.
func toolsFor(skip []string) []string {
	out := []string{"kubectl"} // for those who enter the node
	if !slices.Contains(skip, "containerd") {
		out = append(out, runtimeTools...)
	}
	for _, name := range toolComponents {
		idle := slices.Contains(sidecars, name) && slices.Contains(skip, "csi")
		if !idle && !slices.Contains(skip, name) {
			out = append(out, name)
		}
	}
	return out
}

// build returns the path of every program that the node runs.
func build(ctx context.Context, cache *toolchain.Cache, skip []string) (map[string]string, error) {
	binaries, err := cache.Ensure(ctx, toolsFor(skip)...)
	if err != nil {
		return nil, err
	}
	own := map[string]string{"cluster": "./e2e/cluster"}
	if !slices.Contains(skip, "csi") {
		own["csi"] = "./e2e/csi"
	}
	for name, pkg := range own {
		if binaries[name], err = cache.Local(ctx, pkg); err != nil {
			return nil, err
		}
	}
	return binaries, nil
}
