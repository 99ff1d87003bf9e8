// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/csi/loop"
	"github.com/s3populator/s3populator/e2e/csi/mount"
)

// usage is where a volume is used right now. It is observed in the kernel at each call and stored
// nowhere, so it is right also after the driver, or the whole node, was killed.
type usage struct {
	// devices show the image itself; there is one while the volume is staged.
	devices []string
	// views are read-only devices stacked on the first.
	views []string
	// mounts show the file system or a device node.
	mounts []mount.Mount
}

// observe looks for the devices and mounts of a volume, which need not exist any more.
func (d *Driver) observe(id string) (usage, error) {
	all, err := loop.List()
	if err != nil {
		return usage{}, err
	}
	use := usage{devices: loop.Of(d.volumes.Image(id), all)}
	if !use.any() {
		return use, nil
	}
	for _, device := range use.devices {
		use.views = append(use.views, loop.Of(device, all)...)
	}
	use.mounts, err = mountsOf(slices.Concat(use.devices, use.views))
	return use, err
}

// mountsOf lists the mounts that show the file system on one of the devices, or the node of one of them.
func mountsOf(devices []string) ([]mount.Mount, error) {
	all, err := mount.List()
	if err != nil {
		return nil, err
	}
	numbers := map[string]uint64{}
	for _, device := range devices {
		// A device whose node is gone can be shown by nothing.
		if number, err := deviceNumber(device); err == nil {
			numbers[filepath.Base(device)] = number
		}
	}
	return slices.DeleteFunc(all, func(m mount.Mount) bool { return !shows(m, numbers) }), nil
}

func shows(m mount.Mount, numbers map[string]uint64) bool {
	for name, number := range numbers {
		if m.Device == fmt.Sprintf("%d:%d", unix.Major(number), unix.Minor(number)) {
			return true
		}
		// The name alone proves nothing: other file systems can hold a file of that name.
		if filepath.Base(m.Root) != name {
			continue
		}
		if shown, err := deviceNumber(m.Point); err == nil && shown == number {
			return true
		}
	}
	return false
}

func (u usage) any() bool {
	return len(u.devices) > 0
}

// points are the paths at which the volume is seen.
func (u usage) points() []string {
	points := make([]string, 0, len(u.mounts))
	for _, m := range u.mounts {
		points = append(points, m.Point)
	}
	return points
}

// published are the points except the staging path.
func (u usage) published(staging string) []string {
	return slices.DeleteFunc(u.points(), func(point string) bool { return point == staging })
}

// at is the mount on a path.
func (u usage) at(point string) (mount.Mount, bool) {
	i := slices.IndexFunc(u.mounts, func(m mount.Mount) bool { return m.Point == point })
	if i < 0 {
		return mount.Mount{}, false
	}
	return u.mounts[i], true
}

// filesystem is a path at which the mounted file system is seen, preferring one that accepts writes.
func (u usage) filesystem() (string, bool) {
	var found string
	for _, m := range u.mounts {
		info, err := os.Stat(m.Point)
		if err != nil || !info.IsDir() {
			continue
		}
		if !m.ReadOnly {
			return m.Point, true
		}
		found = m.Point
	}
	return found, found != ""
}

// deviceNumber is the number of the device node at path; 0, which no device has, for anything else.
func deviceNumber(path string) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, fmt.Errorf("stat %s: %w", path, err)
	}
	if stat.Mode&unix.S_IFMT != unix.S_IFBLK {
		return 0, nil
	}
	return stat.Rdev, nil
}
