// SPDX-License-Identifier: Apache-2.0

// Package mount owns the mount table of the process's mount namespace: it reads, makes and removes mounts.
// It refuses to delete anything below a mount point; it only removes the empty directory or file
// that carried the mount.
package mount

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Mount is one line of the mount table.
type Mount struct {
	// Device is major:minor of the mounted file system.
	Device string
	// Root is the path inside that file system which is shown; for a bind-mounted device node it is
	// the node's path below /dev.
	Root string
	// Point is where it is mounted.
	Point string
	// ReadOnly tells that this mount, or its whole file system, refuses writes.
	ReadOnly bool
}

// List reads the mount table.
func List() ([]Mount, error) {
	infos, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	mounts := make([]Mount, 0, len(infos))
	for _, i := range infos {
		mounts = append(mounts, mount(i))
	}
	return mounts, nil
}

// At lists the mounts on exactly this path, the visible one last.
func At(point string) ([]Mount, error) {
	all, err := List()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(m Mount) bool { return m.Point != point }), nil
}

func mount(i *mountinfo.Info) Mount {
	return Mount{
		Device:   fmt.Sprintf("%d:%d", i.Major, i.Minor),
		Root:     i.Root,
		Point:    i.Mountpoint,
		ReadOnly: readOnly(i.Options) || readOnly(i.VFSOptions),
	}
}

func readOnly(options string) bool {
	return slices.Contains(strings.Split(options, ","), "ro")
}
