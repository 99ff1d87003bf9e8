// SPDX-License-Identifier: Apache-2.0

// Package leftovers finds and removes what a node's end does not remove by
// itself: cgroups and loop devices belong to the machine, not to a namespace.
// It touches only what carries the run's own cgroup name or run directory.
package leftovers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/moby/sys/mountinfo"
)

// CgroupMounts lists where the cgroup hierarchies are mounted, version 1 and 2.
func CgroupMounts() ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("cgroup", "cgroup2"))
	if err != nil {
		return nil, fmt.Errorf("read the mount table: %w", err)
	}
	points := make([]string, 0, len(mounts))
	for _, m := range mounts {
		points = append(points, m.Mountpoint)
	}
	return points, nil
}

// Cgroups lists the run's cgroups, children before parents.
func Cgroups(root string) ([]string, error) {
	mounts, err := CgroupMounts()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, mount := range mounts {
		var found []string
		err := filepath.WalkDir(filepath.Join(mount, root), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				found = append([]string{path}, found...)
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		out = append(out, found...)
	}
	return out, nil
}

// removeCgroups removes the run's cgroups. One whose last process has only just
// died is still busy; the caller tries again.
func removeCgroups(root string) error {
	paths, err := Cgroups(root)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
