// SPDX-License-Identifier: Apache-2.0

// Package loop owns loop devices: it turns an image file into a block device and back.
// It refuses to detach a device whose backing file it was not asked about, because the machine has
// other users of loop devices.
package loop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// attempts bounds the race for a free device: between asking for its number and configuring it, the
// kubelet or any other program may take it. Sixty volumes staged at once lose at most a few rounds
// each.
const attempts = 64

// major is the device number that Linux gives to all loop devices.
const major = 7

// deleted is what the kernel appends to the name of a backing file that was removed under the device.
const deleted = " (deleted)"

// allocate keeps this process from racing with itself for the same free number.
var allocate sync.Mutex

// Options says how a device is attached.
type Options struct {
	// ReadOnly makes the kernel refuse writes to the device.
	ReadOnly bool
	// AutoClear makes the kernel detach the device when its last user closes it. A mounted file system is a user.
	AutoClear bool
}

// Handle is an attached device that is held open.
type Handle struct {
	// Path is the device node, such as /dev/loop8.
	Path string
	file *os.File
}

// Close stops holding the device; one attached with AutoClear and used by nobody else is gone afterwards.
func (h *Handle) Close() error {
	return h.file.Close()
}

// Attach makes a free loop device show backing, which is a file or another block device.
func Attach(backing string, opts Options) (*Handle, error) {
	mode := os.O_RDWR
	if opts.ReadOnly {
		mode = os.O_RDONLY
	}
	file, err := os.OpenFile(backing, mode, 0)
	if err != nil {
		return nil, fmt.Errorf("open backing file: %w", err)
	}
	defer func() { _ = file.Close() }()

	allocate.Lock()
	defer allocate.Unlock()
	for range attempts {
		h, err := attachFree(file, opts)
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENXIO) {
			continue
		}
		return h, err
	}
	return nil, fmt.Errorf("attach %s: every free loop device was taken by others, %d times in a row", backing, attempts)
}

func attachFree(backing *os.File, opts Options) (*Handle, error) {
	device, err := openFree()
	if err != nil {
		return nil, err
	}
	config := unix.LoopConfig{Fd: uint32(backing.Fd())} // a file descriptor is a small non-negative number.
	if opts.ReadOnly {
		config.Info.Flags |= unix.LO_FLAGS_READ_ONLY
	}
	if opts.AutoClear {
		config.Info.Flags |= unix.LO_FLAGS_AUTOCLEAR
	}
	copy(config.Info.File_name[:len(config.Info.File_name)-1], backing.Name())
	if err := unix.IoctlLoopConfigure(int(device.Fd()), &config); err != nil {
		return nil, errors.Join(fmt.Errorf("configure %s: %w", device.Name(), err), device.Close())
	}
	return &Handle{Path: device.Name(), file: device}, nil
}

// openFree asks the kernel for a free device and opens its node, making the node where /dev is not kept by the kernel.
func openFree() (*os.File, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("open loop control: %w", err)
	}
	defer func() { _ = control.Close() }()
	number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return nil, fmt.Errorf("find a free loop device: %w", err)
	}
	path := fmt.Sprintf("/dev/loop%d", number)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		if err := makeNode(path, number); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

func makeNode(path string, number int) error {
	device := unix.Mkdev(major, uint32(number)) // the kernel's minor numbers have 20 bits.
	err := unix.Mknod(path, unix.S_IFBLK|0o660, int(device))
	if err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make device node %s: %w", path, err)
	}
	return nil
}

// Device is a loop device in use.
type Device struct {
	// Path is the device node.
	Path string
	// Backing is the file or device that it shows, by the name that the kernel knows; a file need not exist any more.
	Backing string
}

// List lists the loop devices in use. It reads sysfs only: opening a device would keep it from clearing itself.
func List() ([]Device, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("list loop devices: %w", err)
	}
	var devices []Device
	for _, file := range files {
		name, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) {
			continue // detached since it was listed.
		}
		if err != nil {
			return nil, fmt.Errorf("read backing file of a loop device: %w", err)
		}
		devices = append(devices, Device{
			Path:    "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(file))),
			Backing: strings.TrimSuffix(strings.TrimSuffix(string(name), "\n"), deleted),
		})
	}
	return devices, nil
}

// Of picks the devices that show backing.
func Of(backing string, devices []Device) (paths []string) {
	for _, device := range devices {
		if device.Backing == backing {
			paths = append(paths, device.Path)
		}
	}
	return paths
}

// Under lists the devices whose backing file is, or was, inside dir.
func Under(dir string) ([]string, error) {
	devices, err := List()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, device := range devices {
		if strings.HasPrefix(device.Backing, filepath.Clean(dir)+"/") {
			paths = append(paths, device.Path)
		}
	}
	return paths, nil
}
