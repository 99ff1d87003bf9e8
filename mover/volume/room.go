// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// Room is what a file system has, and need what the plan takes of it.
type Room struct {
	blockSize   int64
	totalBytes  int64
	freeBytes   int64 // For an unprivileged user: without the reserved blocks.
	totalInodes int64 // 0: made on demand, as on btrfs.
	freeInodes  int64
	needBytes   int64 // Rounded up to blocks, with directories and slack.
	needInodes  int64
	planBytes   int64 // Of the whole plan, as a user counts them.
	planInodes  int64
}

const (
	// roomSlack is for our journal and the file system's own bookkeeping.
	roomSlack = 256 << 10
	// extentShare is the part of the data that its extent maps take at worst:
	// ext4 keeps 340 extents of at least a few blocks in one block.
	extentShare = 1024
	// overheadShare is what ext4 with default settings takes of a device for
	// inode tables, journal and reserved blocks: up to 7 in 100, rounded up.
	overheadShare = 10
)

// ReadRoom asks the file system; needs come from what is still missing. Have tells how many
// bytes of an entry are there, and whether its file is; dirs is how many directories are there.
func ReadRoom(v *Volume, p *plan.Plan, dirs int64, have func(i int) (int64, bool)) (Room, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(v.Dir.Fd()), &s); err != nil {
		return Room{}, fmt.Errorf("ask the volume for its room: %w", err)
	}
	size := s.Frsize
	if size == 0 {
		size = s.Bsize
	}
	r := Room{
		blockSize:   size,
		totalBytes:  int64(s.Blocks) * size, // #nosec G115 -- below 2^63 for every file system there is.
		freeBytes:   int64(s.Bavail) * size, // #nosec G115
		totalInodes: int64(s.Files),         // #nosec G115
		freeInodes:  int64(s.Ffree),         // #nosec G115
	}
	r.require(p, dirs, have)
	return r, nil
}

// Free is what the file system has: bytes for an unprivileged user, inodes (0: made on demand), and the size
// of its blocks.
func (r Room) Free() (bytes, inodes, block int64) {
	if r.totalInodes > 0 {
		inodes = max(r.freeInodes, 1)
	}
	return r.freeBytes, inodes, r.blockSize
}

// nameBytes is what the name of a file takes in its directory: ext4 adds a head, aligns, and
// leaves blocks a quarter empty when it splits them.
func nameBytes(path string) int64 {
	const head = 8 + 4
	n := head + int64(len(path)-strings.LastIndexByte(path, '/')-1)
	return n + n/3
}

// lineBytes is what the journal takes for a file while the volume is filled.
func lineBytes(path string) int64 {
	const line = 100 // Checksum, size, time, method, quotes, entity tag.
	return line + int64(len(path))
}

// blockBytes is of how many bytes of a large file there is a line of its own.
const blockBytes = 4 << 20

// require adds up what the plan takes: every file rounded up to blocks, its name, its line in the
// journal and its inode, a block and an inode per directory, and slack. Dirs is how many
// directories are there.
func (r *Room) require(p *plan.Plan, dirs int64, have func(i int) (int64, bool)) {
	block := max(r.blockSize, 1)
	data, words := int64(0), int64(0)
	for i, e := range p.Entries.All() {
		r.planBytes += e.Size
		if e.IsDir() {
			continue // Counted among the directories.
		}
		r.planInodes++
		there, exists := have(i)
		data += (e.Size - there + block - 1) / block * block
		if e.Size >= plan.LargeSize {
			words += (e.Size - there) / blockBytes * lineBytes(e.Path)
		}
		if !exists {
			r.needInodes++
			words += nameBytes(e.Path) + lineBytes(e.Path)
		}
	}
	dirs = max(p.Dirs-dirs, 0)
	r.needBytes = data + data/extentShare + words + dirs*block + roomSlack
	r.needInodes += dirs
	r.planInodes += p.Dirs
}

// Check compares, and names both numbers and the way out.
func (r Room) Check() error {
	if r.needBytes > r.freeBytes {
		return fault.New(
			wire.VolumeTooSmall,
			"the source takes %s on the volume and %s are free of %s; raise "+
				"spec.resources.requests.storage of the claim to at least %s, or set spec.sizing.onTooSmall: Grow",
			InUnits(
				r.needBytes,
			),
			InUnits(r.freeBytes),
			InUnits(r.totalBytes),
			InUnits(r.enoughBytes()),
		).Requiring(r.enoughBytes())
	}
	if r.totalInodes > 0 && r.needInodes > r.freeInodes {
		return fault.New(wire.VolumeOutOfInodes,
			"the source takes %d files and directories and the volume has room for %d of them; "+
				"raise spec.resources.requests.storage of the claim to at least %s, or use a storage class with more inodes per byte",
			r.needInodes, r.freeInodes, InUnits(r.enoughForInodes())).Requiring(r.enoughForInodes())
	}
	return nil
}

// CheckInUse is Check for files that are written beside those that they replace.
func (r Room) CheckInUse() error {
	if r.needBytes > r.freeBytes {
		return fault.New(
			wire.VolumeTooSmall,
			"the files that are not on the volume yet take %s beside those that they replace, and %s are free of %s; make "+
				"room, or raise spec.resources.requests.storage of the claim to at least %s",
			InUnits(r.needBytes), InUnits(r.freeBytes), InUnits(r.totalBytes), InUnits(r.enoughBytes()),
		).Requiring(r.enoughBytes())
	}
	return r.Check()
}

// Full is for a volume in use that ran full although there was room.
func (r Room) Full(err error) error {
	whole := r
	whole.freeBytes = 0 // What is free by now may be gone again, or was never there.
	return fault.New(
		wire.VolumeTooSmall,
		"the volume ran full while files were brought to it, as others write to it, too: %s are free of %s. What was "+
			"replaced is whole; make room, or raise spec.resources.requests.storage of the claim to at least %s",
		InUnits(r.freeBytes), InUnits(r.totalBytes), InUnits(whole.enoughBytes()),
	).Requiring(whole.enoughBytes()).Because(err)
}

// enoughBytes is a size of the claim that certainly holds the source: what is
// there plus what lacks, and what a new file system takes for itself.
func (r Room) enoughBytes() int64 {
	want := r.totalBytes + r.needBytes - r.freeBytes
	return RoundUp(want + want/overheadShare)
}

// enoughForInodes scales the volume, because the number of inodes grows with it.
func (r Room) enoughForInodes() int64 {
	used := r.totalInodes - r.freeInodes
	perInode := r.totalBytes/max(r.totalInodes, 1) + 1
	want := (r.needInodes + used) * perInode
	return RoundUp(want + want/overheadShare)
}

// RoundUp rounds bytes up to whole MiB.
func RoundUp(n int64) int64 {
	const mi = 1 << 20
	return (n + mi - 1) / mi * mi
}

// InUnits renders bytes as Kubernetes writes quantities, rounded up so that
// the number is never too small to act on.
func InUnits(n int64) string {
	units := []struct {
		size int64
		name string
	}{{1 << 40, "Ti"}, {1 << 30, "Gi"}, {1 << 20, "Mi"}, {1 << 10, "Ki"}}
	for _, u := range units {
		if n >= 100*u.size || n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d%s", (n+u.size-1)/u.size, u.name)
		}
	}
	if n >= 10<<10 {
		return fmt.Sprintf("%dKi", (n+1<<10-1)>>10)
	}
	return fmt.Sprintf("%d", n)
}
