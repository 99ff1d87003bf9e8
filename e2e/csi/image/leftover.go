// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// LeaveFile puts a file into the root directory of an image's ext4 file system, as if it had been
// used before. The file holds its own name.
func LeaveFile(ctx context.Context, path, name string) error {
	content, err := os.CreateTemp("", "leftover")
	if err != nil {
		return fmt.Errorf("leave %s on %s: %w", name, path, err)
	}
	defer func() { _ = os.Remove(content.Name()) }()
	_, err = content.WriteString(name)
	if err := errors.Join(err, content.Close()); err != nil {
		return fmt.Errorf("leave %s on %s: %w", name, path, err)
	}
	return run(ctx, "debugfs", "-w", "-R", fmt.Sprintf("write %s %q", content.Name(), name), path)
}

// LeaveXFS makes a device begin as one that holds an XFS file system.
func LeaveXFS(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("leave XFS on %s: %w", path, err)
	}
	_, err = f.WriteAt([]byte("XFSB"), 0)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("leave XFS on %s: %w", path, err)
	}
	return nil
}
