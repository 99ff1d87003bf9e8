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
	"strings"
)

// CgroupMounts lists where the cgroup hierarchies are mounted, version 1 and 2.
func CgroupMounts() ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return cgroupMounts(string(data)), nil
}

// cgroupMounts reads mountinfo lines: "id parent dev root MOUNT options [tags] - TYPE source options".
func cgroupMounts(mountinfo string) []string {
	var out []string
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		fields, kind := strings.Fields(left), strings.Fields(right)
		const mountPoint = 4
		if ok && len(fields) > mountPoint && len(kind) > 0 && (kind[0] == "cgroup" || kind[0] == "cgroup2") {
			out = append(out, fields[mountPoint])
		}
	}
	return out
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
