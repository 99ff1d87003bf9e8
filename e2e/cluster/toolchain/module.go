// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
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
func (c *Cache) moduleSource(ctx context.Context, folder, path string) (dir string, err error) {
	folder = filepath.Join(c.Source, "hack", "tools", folder)
	module, err := provider(ctx, folder, path)
	if err != nil {
		return "", err
	}
	err = c.again(ctx, func() error {
		dir, err = download(ctx, folder, module)
		return err
	})
	return dir, err
}

// provider is the module that a folder's go.mod requires for a path: the longest that the path begins with.
func provider(ctx context.Context, folder, path string) (module string, err error) {
	var file struct{ Require []struct{ Path string } }
	if err := askGo(ctx, folder, &file, "mod", "edit", "-json"); err != nil {
		return "", err
	}
	for _, m := range file.Require {
		if strings.HasPrefix(path+"/", m.Path+"/") && len(m.Path) > len(module) {
			module = m.Path
		}
	}
	if module == "" {
		return "", fmt.Errorf("%s requires no module that provides %s", filepath.Join(folder, "go.mod"), path)
	}
	return module, nil
}

// download returns where the sources of a module are.
func download(ctx context.Context, folder, module string) (string, error) {
	var found struct{ Dir, Error string }
	err := askGo(ctx, folder, &found, "mod", "download", "-json", module)
	if err != nil {
		err = fmt.Errorf("%w%s", err, found.Error)
	}
	return found.Dir, unreachable(err)
}

// askGo reads what the go command answers in a folder, also where it fails.
func askGo(ctx context.Context, folder string, answer any, args ...string) error {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &stdout, &stderr
	err, wrong := cmd.Run(), json.Unmarshal(stdout.Bytes(), answer)
	if err == nil {
		err = wrong
	}
	if err != nil {
		return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), folder, err, tail(stderr.String(), 4000))
	}
	return nil
}
