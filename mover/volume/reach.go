// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// syncfsIsEnough are types of file systems of which syncfs writes everything to the device, or has the server write it:
// those of Linux for disks and memory, and two for a network (nfs_write_inode in fs/nfs/write.c, ceph_sync_fs in
// fs/ceph/super.c). It only hands pages to a program or a server, which may keep them in memory and is asked by fsync
// alone to write them, on FUSE (fuse_sync_fs in fs/fuse/inode.c), SMB, 9P and Lustre (there is no sync_fs in
// fs/smb/client/cifsfs.c, fs/9p/vfs_super.c and lustre/llite/super25.c). A type that is not known is taken for one of
// those: to sync each file by itself is slow, and never wrong.
var syncfsIsEnough = []int64{
	unix.EXT4_SUPER_MAGIC, // That of ext2 and ext3, too.
	unix.XFS_SUPER_MAGIC,
	unix.BTRFS_SUPER_MAGIC,
	unix.F2FS_SUPER_MAGIC,
	unix.BCACHEFS_SUPER_MAGIC,
	0x2fc12fc1, // OpenZFS, ZFS_SUPER_MAGIC.
	unix.OCFS2_SUPER_MAGIC,
	0x01161970, // GFS2.
	unix.MSDOS_SUPER_MAGIC,
	unix.EXFAT_SUPER_MAGIC,
	unix.OVERLAYFS_SUPER_MAGIC,
	unix.TMPFS_MAGIC,
	unix.RAMFS_MAGIC,
	unix.NFS_SUPER_MAGIC,
	unix.CEPH_SUPER_MAGIC,
}

// syncfsReaches tells whether syncfs writes a file system of this type to its device and tells of
// what was refused. Before Linux 5.8 it tells of no refusal (commit 735e4ae5ba28).
func syncfsReaches(kind int64, release string) bool {
	return slices.Contains(syncfsIsEnough, kind) && !olderThan(release, 5, 8)
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

// SyncOpen is SyncFile for a file or directory that is open.
func (v *Volume) SyncOpen(f *os.File) error {
	if !v.EachFile {
		return nil
	}
	v.Alone.Add(1)
	return syncOpen(f)
}

// fsync is os.File.Sync; a test looks, and refuses, in its place.
var fsync = (*os.File).Sync

// syncOpen does without what a file system cannot do: some know no sync of a directory.
func syncOpen(f *os.File) error {
	err := fsync(f)
	if err == nil {
		return nil
	}
	if info, statErr := f.Stat(); statErr == nil && info.IsDir() && !lostOnDevice(err) {
		return nil
	}
	return fmt.Errorf("write the volume to its device: %w", err)
}

func lostOnDevice(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) ||
		errors.Is(err, unix.EROFS)
}

// SyncNames writes the names of all that is on the volume to its device, and what else is known of its directories,
// where Sync does not, see EachFile. What the storage has of its own is left out.
func (v *Volume) SyncNames(ctx context.Context) error {
	if !v.EachFile {
		return nil
	}
	return v.syncNames(ctx, ".")
}

func (v *Volume) syncNames(ctx context.Context, dir string) error {
	var below []string
	err := eachEntry(v.Root, dir, func(e os.DirEntry) bool {
		name := path.Join(dir, e.Name())
		if e.IsDir() && name != wire.JournalDir && !slices.Contains(plan.StorageOwn, name) {
			below = append(below, name)
		}
		return ctx.Err() == nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = v.Durably(v.Root, dir, func() error { return nil })
	}
	for _, name := range below {
		if err == nil {
			err = v.syncNames(ctx, name)
		}
	}
	return err
}

// SyncRoot is SyncNames of the root alone.
func (v *Volume) SyncRoot() error { return v.SyncOpen(v.Dir) }

// Durably makes a change of what is known of a file or directory, and writes that to the device where Sync does not.
// It is opened before: it may not be readable after. What cannot be read before either is left to the file system.
func (v *Volume) Durably(root *os.Root, name string, change func() error) error {
	if !v.EachFile {
		return change()
	}
	f, unread := root.OpenFile(name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if unread == nil {
		defer func() { _ = f.Close() }()
	}
	if err := change(); err != nil || unread != nil {
		return err
	}
	return v.SyncOpen(f)
}
