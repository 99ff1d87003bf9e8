// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// looking is how long others may have a device open only to look at it, as ReleaseUnder does with all of them.
const looking = time.Second

// Detach frees a device. While others have it open, the kernel only promises to free it when the
// last of them closes it: those that only look are waited for. A device that is free already is no error.
func Detach(path string) error {
	shown := backingOf(path)
	err := control(path, unix.LOOP_CLR_FD)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	for begin := time.Now(); shown != "" && backingOf(path) == shown && time.Since(begin) < looking; {
		time.Sleep(time.Millisecond)
	}
	return nil
}

// backingOf is what a device shows, by the name that the kernel knows; empty when it is free.
func backingOf(path string) string {
	name, _ := os.ReadFile(filepath.Join("/sys/block", filepath.Base(path), "loop/backing_file"))
	return string(name)
}

// Refresh makes a device as large as its backing file has become.
func Refresh(path string) error {
	if err := control(path, unix.LOOP_SET_CAPACITY); err != nil {
		return fmt.Errorf("refresh size of %s: %w", path, err)
	}
	return nil
}

func control(path string, request uint) error {
	device, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	return unix.IoctlSetInt(int(device.Fd()), request, 0)
}

// ReleaseUnder detaches every device that shows a file inside dir, and first every device stacked
// on such a device: the kubelet stacks one on each volume of mode Block. It is for the wreck of a
// node that was killed, when no process uses them any more.
func ReleaseUnder(dir string) error {
	files, err := filesUnder(dir)
	if err != nil {
		return err
	}
	named, err := Under(dir) // also files that were deleted.
	if err != nil {
		return err
	}
	devices, err := statusOfAll()
	if err != nil {
		return err
	}
	for path, device := range devices {
		if !slices.Contains(named, path) && !files[device.file] {
			continue
		}
		for above, other := range devices {
			if other.backing == device.number {
				err = errors.Join(err, Detach(above))
			}
		}
		if err := errors.Join(err, Detach(path)); err != nil {
			return err
		}
	}
	return nil
}

// identity is what a file is to the kernel, whatever its name.
type identity struct {
	device, inode uint64
}

// attached is a loop device in use. The name of a backing file that was opened inside a mount
// namespace means nothing once that namespace is gone, so it holds numbers.
type attached struct {
	number  uint64   // of the device itself.
	file    identity // of the file behind it.
	backing uint64   // number of the block device behind it; 0 for a regular file.
}

func filesUnder(dir string) (map[identity]bool, error) {
	files := map[identity]bool{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return &os.PathError{Op: "stat", Path: path, Err: err}
		}
		files[identity{device: stat.Dev, inode: stat.Ino}] = true
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list backing files: %w", err)
	}
	return files, nil
}

// statusOfAll asks every loop device in use what is behind it.
func statusOfAll() (map[string]attached, error) {
	used, err := List()
	if err != nil {
		return nil, err
	}
	devices := map[string]attached{}
	for _, u := range used {
		device, err := status(u.Path)
		if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
			continue // detached meanwhile.
		}
		if err != nil {
			return nil, fmt.Errorf("read status of %s: %w", u.Path, err)
		}
		devices[u.Path] = device
	}
	return devices, nil
}

func status(path string) (attached, error) {
	device, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return attached{}, err
	}
	defer func() { _ = device.Close() }()
	var stat unix.Stat_t
	if err := unix.Fstat(int(device.Fd()), &stat); err != nil {
		return attached{}, err
	}
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	if err != nil {
		return attached{}, err
	}
	return attached{number: stat.Rdev, file: identity{device: info.Device, inode: info.Inode}, backing: info.Rdevice}, nil
}
