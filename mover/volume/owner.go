// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"syscall"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// SetOwners gives what is on the volume the owners and modes of spec.files, once all of it is
// verified: an attempt must be able to read and remove what an earlier one wrote. Directories
// come last and the deepest first. What is right already is left alone, so that nothing is
// asked of a file system that knows no owners.
func (v *Volume) SetOwners(ctx context.Context, p *plan.Plan, want wire.Files) error {
	if want == (wire.Files{}) {
		return nil
	}
	return v.eachOwned(p, want, func(root *os.Root, name string, mode *uint32) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return v.Durably(root, name, func() error { return own(root, name, want, mode) })
	})
}

// errOtherOwner stops the search for what setOwners would change.
var errOtherOwner = errors.New("another owner or mode")

// OwnersAreSet tells that setOwners would change nothing.
func (v *Volume) OwnersAreSet(p *plan.Plan, want wire.Files) bool {
	if want == (wire.Files{}) {
		return true
	}
	return v.eachOwned(p, want, func(root *os.Root, name string, mode *uint32) error {
		info, err := root.Lstat(name)
		if err != nil {
			return err //nolint:wrapcheck // It is not shown.
		}
		if uid, gid := otherOwner(info, want); uid >= 0 || gid >= 0 ||
			mode != nil && info.Mode().Perm() != fs.FileMode(*mode) {
			return errOtherOwner
		}
		return nil
	}) == nil
}

// eachOwned shows what spec.files speaks of, in the order in which it can be changed.
func (v *Volume) eachOwned(
	p *plan.Plan, want wire.Files, visit func(root *os.Root, name string, mode *uint32) error,
) error {
	for _, e := range p.Entries.All() {
		if e.IsDir() {
			continue
		}
		if err := visit(v.Data, e.Path, want.Mode); err != nil {
			return err
		}
	}
	var dirs []string
	p.EachDir(func(dir string) { dirs = append(dirs, dir) })
	slices.Sort(dirs)
	for _, dir := range slices.Backward(dirs) {
		if err := visit(v.Data, dir, want.DirMode); err != nil {
			return err
		}
	}
	for dir := v.Target; dir != "" && dir != "."; dir = path.Dir(dir) {
		if err := visit(v.Root, dir, want.DirMode); err != nil {
			return err
		}
	}
	return nil
}

// own changes one file or directory as far as it differs.
func own(root *os.Root, name string, want wire.Files, mode *uint32) error {
	info, err := root.Lstat(name)
	if err != nil {
		return fmt.Errorf("look at %s: %w", plan.Quote(name), err)
	}
	if uid, gid := otherOwner(info, want); uid >= 0 || gid >= 0 {
		if err := root.Lchown(name, uid, gid); err != nil {
			return notOwned(name, uid, gid, err)
		}
	}
	if mode == nil || info.Mode().Perm() == fs.FileMode(*mode) {
		return nil
	}
	keep := info.Mode() & fs.ModeSetgid // What a volume's fsGroup goes by.
	if err := root.Chmod(name, fs.FileMode(*mode)|keep); err != nil {
		return notModed(name, *mode, err)
	}
	return nil
}

// otherOwner is what has to change of a file's owner and group; -1 where nothing has to.
func otherOwner(info fs.FileInfo, want wire.Files) (uid, gid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return differs(want.UID, stat.Uid), differs(want.GID, stat.Gid)
}

// differs is the wanted owner, or -1 where nothing has to change.
func differs(want *int64, is uint32) int {
	if want == nil || *want == int64(is) {
		return -1
	}
	return int(*want)
}

func notOwned(name string, uid, gid int, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("change the owner of %s: %w", plan.Quote(name), err)
	}
	if uid >= 0 {
		return fault.New(wire.VolumeNotWritable,
			"spec.files.uid: the mover, which runs as user %d, may not give %s to user %d; remove spec.files.uid, "+
				"or set spec.mover.podSecurityContext.runAsUser to it (without spec.mover.podSecurityContext any user but 0 is set so)",
			os.Getuid(), plan.Quote(name), uid).Because(err)
	}
	return fault.New(wire.VolumeNotWritable,
		"spec.files.gid: the mover may not give %s to group %d, which it is not in; remove spec.files.gid, "+
			"or set spec.mover.podSecurityContext.fsGroup or supplementalGroups to it", plan.Quote(name), gid).Because(err)
}

func notModed(name string, mode uint32, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("change the mode of %s: %w", plan.Quote(name), err)
	}
	return fault.New(wire.VolumeNotWritable,
		"spec.files: the mode of %s cannot be set to %04o, because the file system or its owner does not allow it; "+
			"remove spec.files.mode and spec.files.directoryMode", plan.Quote(name), mode).Because(err)
}
