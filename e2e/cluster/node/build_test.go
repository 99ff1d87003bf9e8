// SPDX-License-Identifier: Apache-2.0

package node

import (
	"slices"
	"testing"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

func TestToolsOfANode(t *testing.T) {
	cases := map[string]struct {
		skip                  []string
		wantTools, wantAbsent []string
	}{
		"a complete node":    {nil, []string{"kubelet", "csi-resizer", "snapshot-controller", "ctr"}, nil},
		"one component less": {[]string{"coredns"}, []string{"kubelet", "csi-resizer"}, []string{"coredns"}},
		"no driver, no sidecar": {
			[]string{"csi"},
			[]string{"kubelet", "snapshot-controller"},
			[]string{"csi", "csi-provisioner", "csi-resizer", "csi-snapshotter"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got := toolsFor(c.skip)
			for _, tool := range c.wantTools {
				if !slices.Contains(got, tool) {
					t.Errorf("%s is not built", tool)
				}
			}
			for _, tool := range c.wantAbsent {
				if slices.Contains(got, tool) {
					t.Errorf("%s is built for nothing", tool)
				}
			}
			for _, tool := range got {
				if !slices.Contains(toolchain.Names(), tool) {
					t.Errorf("%s is not a pinned tool", tool)
				}
			}
		})
	}
}
