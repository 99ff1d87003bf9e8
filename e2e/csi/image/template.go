// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Templates makes formatted images by copying one of the same kind. mkfs waits for the disk at its
// end, which fifty volumes at once would feel; a copy of some 200 KiB does not. Copies share their
// file system's UUID, which ext4 does not mind.
type Templates struct {
	dir string
	mu  sync.Mutex
}

// OpenTemplates keeps templates in dir, and forgets one that a killed driver left half made.
func OpenTemplates(dir string) (*Templates, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open templates: %w", err)
	}
	t := &Templates{dir: dir}
	if err := os.Remove(t.draft()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove draft: %w", err)
	}
	return t, nil
}

// Make makes an ext4 image of a size. bytesPerInode of 0 means the usual ratio for the size.
func (t *Templates) Make(ctx context.Context, path string, size, bytesPerInode int64) error {
	template := filepath.Join(t.dir, fmt.Sprintf("%d-%d", size, bytesPerInode))
	if err := t.ensure(ctx, template, size, bytesPerInode); err != nil {
		return fmt.Errorf("make template: %w", err)
	}
	return Copy(ctx, template, path)
}

// ensure makes a template once, and in one step: whoever finds it finds it complete.
func (t *Templates) ensure(ctx context.Context, template string, size, bytesPerInode int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, err := os.Stat(template); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	err := Create(t.draft(), size)
	if err == nil {
		err = Format(ctx, t.draft(), size, bytesPerInode)
	}
	if err == nil {
		return os.Rename(t.draft(), template)
	}
	if gone := os.Remove(t.draft()); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

func (t *Templates) draft() string {
	return filepath.Join(t.dir, "draft")
}
