// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
)

// fsyncOnly are types of file systems that syncfs only hands the pages of to a program or a server,
// which may keep them in memory: that is asked by fsync alone to write them (Linux, fuse_sync_fs in
// fs/fuse/inode.c; there is no sync_fs in fs/smb/client/cifsfs.c and fs/9p/vfs_super.c).
var fsyncOnly = []int64{unix.FUSE_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.V9FS_MAGIC}

// syncfsReaches tells whether syncfs writes a file system of this type to its device and tells of
// what was refused. Before Linux 5.8 it tells of no refusal (commit 735e4ae5ba28).
func syncfsReaches(kind int64, release string) bool {
	return !slices.Contains(fsyncOnly, kind) && !olderThan(release, 5, 8)
}

// olderThan compares the release of a kernel, such as 4.18.0-553.el8.x86_64. One that cannot be read is
// not older.
func olderThan(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second, _, _ := strings.Cut(rest, ".")
	second, _, _ = strings.Cut(second, "-")
	a, errA := strconv.Atoi(first)
	b, errB := strconv.Atoi(second)
	return errA == nil && errB == nil && (a < major || a == major && b < minor)
}

// lookReach finds out whether every file has to be synced by itself.
func (v *Volume) lookReach() (err error) {
	v.EachFile, err = syncsEachFile(v.Dir)
	return err
}

func syncsEachFile(dir *os.File) (bool, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &s); err != nil {
		return false, fmt.Errorf("ask the volume for its type: %w", err)
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return false, fmt.Errorf("ask for the release of the kernel: %w", err)
	}
	return !syncfsReaches(s.Type, unix.ByteSliceToString(u.Release[:])), nil
}

// SyncFile writes one file to its device where Sync does not, see EachFile.
func (v *Volume) SyncFile(name string) error {
	if !v.EachFile {
		return nil
	}
	f, err := v.Open(name)
	if err != nil {
		return fmt.Errorf("write %s to its device: %w", plan.Quote(name), err)
	}
	defer func() { _ = f.Close() }()
	return v.SyncOpen(f)
}

// SyncOpen is SyncFile for a file that is open.
func (v *Volume) SyncOpen(f *os.File) error {
	if !v.EachFile {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("write the volume to its device: %w", err)
	}
	return nil
}
