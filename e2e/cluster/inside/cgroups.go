// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/s3populator/s3populator/e2e/cluster/leftovers"
)

// makeCgroups creates the run's own cgroup in every hierarchy. The kubelet
// wants to find it in all of them, and puts all pods below.
func makeCgroups(root string) error {
	mounts, err := leftovers.CgroupMounts()
	if err != nil {
		return fmt.Errorf("list cgroup hierarchies: %w", err)
	}
	for _, mount := range mounts {
		if err := os.MkdirAll(filepath.Join(mount, root), 0o755); err != nil {
			return fmt.Errorf("create cgroup: %w", err)
		}
	}
	return nil
}
