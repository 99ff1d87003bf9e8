// SPDX-License-Identifier: Apache-2.0

package leftovers

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCgroupMountsOfBothVersions(t *testing.T) {
	const mountinfo = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:9 master:2 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
broken line
`
	want := []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"}
	if diff := cmp.Diff(want, cgroupMounts(mountinfo)); diff != "" {
		t.Errorf("mounts (-want +got):\n%s", diff)
	}
}
