// SPDX-License-Identifier: Apache-2.0

package image

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Requests of linux/fs.h that x/sys does not name: _IOWR('X', 119, int) and _IOWR('X', 120, int).
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// Frozen runs work while the file system mounted at point is written out and accepts no writes, so
// that a copy of its image is consistent.
func Frozen(point string, work func() error) (err error) {
	if err := control(point, fiFreeze); err != nil {
		return fmt.Errorf("freeze %s: %w", point, err)
	}
	defer func() { err = errors.Join(err, Thaw(point)) }()
	return work()
}

// Thaw lets the file system mounted at point accept writes again. One that is not frozen is no error.
func Thaw(point string) error {
	if err := control(point, fiThaw); err != nil && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("thaw %s: %w", point, err)
	}
	return nil
}

// Flush writes out what is cached for a device, so that its image file holds it.
func Flush(device string) error {
	file, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("flush device: %w", err)
	}
	return errors.Join(file.Sync(), file.Close())
}

func control(point string, request uint) error {
	directory, err := os.Open(point)
	if err != nil {
		return err
	}
	defer func() { _ = directory.Close() }()
	return unix.IoctlSetInt(int(directory.Fd()), request, 0)
}
