// SPDX-License-Identifier: Apache-2.0

package mount

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// flags are the mount options that the kernel takes as bits; every other option is handed to the file system as text.
var flags = map[string]uintptr{
	"rw": 0, "ro": unix.MS_RDONLY, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME,
	"relatime": unix.MS_RELATIME,
	"nosuid":   unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC, "sync": unix.MS_SYNCHRONOUS,
	"dirsync":  unix.MS_DIRSYNC,
	"lazytime": unix.MS_LAZYTIME,
}

// split divides mount options into the kernel's bits and the file system's text.
func split(options []string) (bits uintptr, data string) {
	var rest []string
	for _, option := range options {
		bit, known := flags[option]
		if !known {
			rest = append(rest, option)
		}
		bits |= bit
	}
	return bits, strings.Join(rest, ",")
}

// Ext4 mounts the ext4 file system of a device.
func Ext4(device, point string, options []string) error {
	bits, data := split(options)
	if err := unix.Mount(device, point, "ext4", bits, data); err != nil {
		return fmt.Errorf("mount %s on %s with options %q: %w", device, point, options, err)
	}
	return nil
}

// Bind shows source, a directory or a device node, at point as well. A read-only bind stays
// read-only even when source is writable.
func Bind(source, point string, readOnly bool) error {
	if err := unix.Mount(source, point, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", source, point, err)
	}
	if !readOnly {
		return nil
	}
	// The kernel ignores MS_RDONLY on the bind itself, so a second call has to set it.
	if err := unix.Mount("", point, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return errors.Join(fmt.Errorf("make %s read-only: %w", point, err), unix.Unmount(point, 0))
	}
	return nil
}

// Unmount removes every mount on point. A path that is no mount point, or does not exist, is no error.
func Unmount(point string) error {
	mounts, err := At(point)
	if err != nil {
		return err
	}
	for range mounts {
		if err := unix.Unmount(point, unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// Remove unmounts point and removes the directory or file that carried the mount. A directory that
// still has content under the mount is an error, never deleted.
func Remove(point string) error {
	if err := Unmount(point); err != nil {
		return err
	}
	if err := os.Remove(point); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove mount point: %w", err)
	}
	return nil
}
