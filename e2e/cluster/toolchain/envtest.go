// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// EnvtestAssets returns a directory for KUBEBUILDER_ASSETS: an API server and
// its store, for tests that need no node.
func (c *Cache) EnvtestAssets(ctx context.Context) (string, error) {
	paths, err := c.Ensure(ctx, "etcd", "kube-apiserver", "kubectl")
	if err != nil {
		return "", err
	}
	// One directory for each pair of builds, so that links never change.
	key := func(name string) string { return filepath.Base(filepath.Dir(paths[name])) }
	dir := filepath.Join(c.Root, "envtest", key("kube-apiserver")+"-"+key("etcd"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create the assets directory: %w", err)
	}
	for name, path := range paths {
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("link %s: %w", name, err)
		}
	}
	return dir, nil
}
