// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyncfsReaches: where it does not, each file is synced by itself.
func TestSyncfsReaches(t *testing.T) {
	for _, tt := range []struct {
		kind    int64
		release string
		want    bool
	}{
		{unix.EXT4_SUPER_MAGIC, "6.18.44", true},
		{unix.NFS_SUPER_MAGIC, "5.14.0-427.13.1.el9_4.x86_64", true},
		{unix.EXT4_SUPER_MAGIC, "5.8.0", true},
		{unix.EXT4_SUPER_MAGIC, "5.10-rc1", true},
		{unix.EXT4_SUPER_MAGIC, "5.7.19", false},
		{unix.EXT4_SUPER_MAGIC, "4.18.0-553.el8_10.x86_64", false},
		{unix.FUSE_SUPER_MAGIC, "6.18.44", false},
		{unix.CIFS_SUPER_MAGIC, "6.18.44", false},
		{unix.SMB2_SUPER_MAGIC, "6.18.44", false},
		{unix.V9FS_MAGIC, "6.18.44", false},
		{0x0bd00bd0, "6.18.44", false}, // Lustre.
		{0x19830326, "6.18.44", false}, // BeeGFS.
		{0x12345678, "6.18.44", false}, // Nobody knows.
		{unix.XFS_SUPER_MAGIC, "6.18.44", true},
		{unix.TMPFS_MAGIC, "6.18.44", true},
		{unix.CEPH_SUPER_MAGIC, "6.18.44", true},
		{unix.EXT4_SUPER_MAGIC, "unknown", true},
	} {
		if got := syncfsReaches(tt.kind, tt.release); got != tt.want {
			t.Errorf("on %#x of Linux %s it is %v, want %v", tt.kind, tt.release, got, tt.want)
		}
	}
}
