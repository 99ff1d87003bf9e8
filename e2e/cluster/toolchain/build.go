// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// build makes the tools in one go command and moves each into dir, its checksum
// first: a binary without a matching checksum counts as absent.
func (c *Cache) build(ctx context.Context, module, dir string, batch []Tool) error {
	names, packages := make([]string, 0, len(batch)), make([]string, 0, len(batch))
	for _, t := range batch {
		names, packages = append(names, t.Name), append(packages, t.Package)
	}
	started := time.Now()
	tmp, err := os.MkdirTemp(dir, ".build-")
	if err != nil {
		return fmt.Errorf("create a build directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(tmp) }()
	args := append([]string{"-ldflags", strings.TrimSpace("-s -w " + batch[0].Link), "-o", tmp + "/"}, packages...)
	if err := c.goBuild(ctx, filepath.Join(c.Source, "hack", "tools", module), args); err != nil {
		return err
	}
	for _, t := range batch {
		if err := install(filepath.Join(tmp, binaryName(t.Package)), filepath.Join(dir, t.Name)); err != nil {
			return fmt.Errorf("install %s: %w", t.Name, err)
		}
	}
	fmt.Fprintf(
		c.Log,
		"built %s from hack/tools/%s in %s\n",
		strings.Join(names, ", "),
		module,
		time.Since(started).Round(time.Second),
	)
	return nil
}

// goBuild runs the go command in folder. The caller's GOFLAGS and workspace
// must not leak into a build whose key does not know of them.
func (c *Cache) goBuild(ctx context.Context, folder string, args []string) error {
	return c.again(ctx, func() error {
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, buildFlags...), args...)...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=linux", "GOARCH="+c.Arch)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return unreachable(fmt.Errorf("go build in %s: %w\n%s", folder, err, tail(stderr.String(), 4000)))
		}
		return nil
	})
}

// binaryName is the file the go command writes for a main package: the last
// element of its path, skipping a major version suffix.
func binaryName(pkg string) string {
	name := filepath.Base(pkg)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" {
		name = filepath.Base(filepath.Dir(pkg))
	}
	return name
}

func install(from, to string) error {
	sum, err := fileSum(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to+".sha256.new", []byte(sum+"\n"), 0o644); err != nil {
		return err
	}
	if err := os.Rename(to+".sha256.new", to+".sha256"); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// damaged returns the tools whose binary is absent or differs from what was
// built. The files are hashed side by side: all of a node's are about 1 GB.
func damaged(dir string, want []Tool) []Tool {
	bad := make([]bool, len(want))
	var wg sync.WaitGroup
	for i, t := range want {
		wg.Go(func() {
			path := filepath.Join(dir, t.Name)
			recorded, err := os.ReadFile(path + ".sha256")
			sum, sumErr := fileSum(path)
			bad[i] = err != nil || sumErr != nil || strings.TrimSpace(string(recorded)) != sum
		})
	}
	wg.Wait()
	var out []Tool
	for i, t := range want {
		if bad[i] {
			out = append(out, t)
		}
	}
	return out
}

func fileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// tail keeps the end of a long text, where a compiler says what went wrong.
func tail(text string, limit int) string {
	if len(text) > limit {
		return "..." + text[len(text)-limit:]
	}
	return text
}
