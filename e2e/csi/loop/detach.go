// SPDX-License-Identifier: Apache-2.0

package loop

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Detach frees a device. While others have it open, the kernel only promises to free it when the last of them closes it.
// A device that is free already is no error.
func Detach(path string) error {
	err := control(path, unix.LOOP_CLR_FD)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("detach %s: %w", path, err)
	}
	return nil
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
	defer device.Close()
	return unix.IoctlSetInt(int(device.Fd()), request, 0)
}

// ReleaseUnder detaches every device that shows a file inside dir, and first every device stacked on such a device: the kubelet
// stacks one on each volume of mode Block. It is for the wreck of a node that was killed, when no process uses them any more.
func ReleaseUnder(dir string) error {
	devices, err := Under(dir)
	if err != nil {
		return err
	}
	for _, device := range devices {
		stacked, err := stackedOn(device)
		if err != nil {
			return err
		}
		for _, above := range stacked {
			err = errors.Join(err, Detach(above))
		}
		if err := errors.Join(err, Detach(device)); err != nil {
			return err
		}
	}
	return nil
}

// stackedOn lists the devices whose backing is device. It compares device numbers, not names: the name of a backing file that was
// opened inside a mount namespace means nothing once that namespace is gone.
func stackedOn(device string) ([]string, error) {
	number, err := deviceNumber(device)
	if err != nil {
		return nil, err
	}
	all, err := find(func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	var stacked []string
	for _, path := range all {
		backing, err := backingNumber(path)
		if err != nil {
			return nil, err
		}
		if backing == number {
			stacked = append(stacked, path)
		}
	}
	return stacked, nil
}

func deviceNumber(path string) (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return stat.Rdev, nil
}

// backingNumber is the device number of the block device behind a loop device; 0 for a file, or when it was detached meanwhile.
func backingNumber(path string) (uint64, error) {
	device, err := os.OpenFile(path, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENXIO) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer device.Close()
	info, err := unix.IoctlLoopGetStatus64(int(device.Fd()))
	if errors.Is(err, unix.ENXIO) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read status of %s: %w", path, err)
	}
	return info.Rdevice, nil
}
