// SPDX-License-Identifier: Apache-2.0

package leftovers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Loops lists the loop devices whose file is, or was, below dir.
func Loops(dir string) ([]string, error) {
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, file := range files {
		backing, err := os.ReadFile(file)
		if err == nil && strings.HasPrefix(string(backing), dir+"/") {
			out = append(out, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(file))))
		}
	}
	return out, nil
}

// detachLoops frees the run's loop devices. While the kernel still unmounts a
// dead namespace's file system, a device is only marked to go; the caller tries
// again until none is listed.
func detachLoops(dir string) error {
	loops, err := Loops(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, device := range loops {
		errs = append(errs, fmt.Errorf("%s is still attached", device))
		f, err := os.OpenFile(device, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		_ = unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
		_ = f.Close()
	}
	return errors.Join(errs...)
}

// poll is how often removal is tried again; the kernel needs milliseconds for
// cgroups and up to seconds to write back a file system.
const poll = 20 * time.Millisecond

// Remove removes the run's cgroups and loop devices, trying until the context
// ends.
func Remove(ctx context.Context, dir, cgroupRoot string) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		err := errors.Join(removeCgroups(cgroupRoot), detachLoops(dir))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("remove what the node left: %w", err)
		case <-ticker.C:
		}
	}
}
