// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// snapshotCRDs are the kinds that the snapshot controller cannot start without.
var snapshotCRDs = []string{"volumesnapshotclasses", "volumesnapshotcontents", "volumesnapshots"}

// SnapshotCRDs returns the definition files of the snapshot kinds, which come
// with the snapshot controller's own client module.
func (c *Cache) SnapshotCRDs(ctx context.Context) ([]string, error) {
	dir, err := c.moduleSource(ctx, "external-snapshotter", "github.com/kubernetes-csi/external-snapshotter/client/v8")
	if err != nil {
		return nil, fmt.Errorf("find the snapshot definitions: %w", err)
	}
	out := make([]string, 0, len(snapshotCRDs))
	for _, kind := range snapshotCRDs {
		out = append(out, filepath.Join(dir, "config", "crd", "snapshot.storage.k8s.io_"+kind+".yaml"))
	}
	return out, nil
}

// License returns the license file of the module that a tool comes from.
func (c *Cache) License(ctx context.Context, name string) (string, error) {
	i := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return "", fmt.Errorf("no tool is named %q", name)
	}
	dir, err := c.moduleSource(ctx, tools[i].Module, tools[i].Package)
	if err != nil {
		return "", fmt.Errorf("find the license of %s: %w", name, err)
	}
	return filepath.Join(dir, "LICENSE"), nil
}

// Install copies a tool, and its license as NAME.LICENSE, into a directory.
func (c *Cache) Install(ctx context.Context, name, dir string) error {
	paths, err := c.Ensure(ctx, name)
	if err != nil {
		return err
	}
	license, err := c.License(ctx, name)
	if err != nil {
		return err
	}
	if err := copyFile(license, filepath.Join(dir, name+".LICENSE"), 0o644); err != nil {
		return err
	}
	return copyFile(paths[name], filepath.Join(dir, name), 0o755)
}

// moduleSource is where the go command keeps the sources of the module that
// provides a path, at the version that a folder of hack/tools pins.
func (c *Cache) moduleSource(ctx context.Context, folder, path string) (string, error) {
	// The longest module path that is a prefix of path is its module.
	for module := path; module != "."; module = filepath.Dir(module) {
		dir := ""
		err := c.again(ctx, func() (err error) {
			dir, err = c.download(ctx, folder, module)
			return err
		})
		if err != nil || dir != "" {
			return dir, err
		}
	}
	return "", fmt.Errorf("hack/tools/%s/go.mod requires no module that provides %s", folder, path)
}

// notRequired is how the go command says that a path is no module that is required.
const notRequired = "not a known dependency"

// download returns where the sources of a module are; "" when the folder's go.mod does not require it.
func (c *Cache) download(ctx context.Context, folder, module string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module)
	cmd.Dir = filepath.Join(c.Source, "hack", "tools", folder)
	out, err := cmd.Output()
	var found struct{ Dir, Error string }
	switch wrong := json.Unmarshal(out, &found); {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case strings.Contains(found.Error, notRequired):
		return "", nil
	case err != nil:
		return "", passing(fmt.Errorf("go mod download %s in hack/tools/%s: %w: %s", module, folder, err, found.Error))
	case wrong != nil:
		return "", fmt.Errorf("read the answer of go mod download: %w", wrong)
	}
	return found.Dir, nil
}
