// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// keepLocal is how long a superseded build of our own programs stays, for runs
// that were started with it.
const keepLocal = 24 * time.Hour

// Local builds a main package of this checkout, such as "./e2e/csi", and
// returns a path that always holds these bytes: a later build gets another
// path, so nobody's program changes under it. The go command decides what
// needs work.
func (c *Cache) Local(ctx context.Context, pkg string) (string, error) {
	name := filepath.Base(pkg)
	id := sha256.Sum256([]byte(c.Source + "\n" + pkg + "\n" + c.Arch))
	dir := filepath.Join(c.Root, "local", name+"-"+hex.EncodeToString(id[:6]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return "", fmt.Errorf("lock the cache: %w", err)
	}
	defer unlock()
	built := filepath.Join(dir, "latest")
	if err := c.goBuild(ctx, c.Source, []string{"-ldflags", "-s -w", "-o", built, pkg}); err != nil {
		return "", fmt.Errorf("build %s: %w", pkg, err)
	}
	sum, err := fileSum(built)
	if err != nil {
		return "", fmt.Errorf("hash %s: %w", pkg, err)
	}
	prune(dir, sum[:16])
	path := filepath.Join(dir, sum[:16], name)
	if have, err := fileSum(path); err == nil && have == sum {
		return path, nil
	}
	if err := copyFile(built, path, 0o755); err != nil {
		return "", fmt.Errorf("keep %s: %w", pkg, err)
	}
	return path, nil
}

// prune removes superseded builds; what cannot be removed is tried next time.
func prune(dir, keep string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && e.IsDir() && e.Name() != keep && time.Since(info.ModTime()) > keepLocal {
			_ = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
}

// copyFile writes a copy and lets it appear at once under its name.
func copyFile(from, to string, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}
