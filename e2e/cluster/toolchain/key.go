// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modulePath is how the checkout is recognised on the way up from the working
// directory; tool modules below it have other paths.
const modulePath = "module github.com/s3populator/s3populator\n"

// buildFlags make a binary depend on its sources alone, not on the place or
// the repository it was built in.
var buildFlags = []string{"-trimpath", "-buildvcs=false", "-mod=readonly"}

// recipe is everything that decides the bytes of a module's binaries.
type recipe struct {
	goMod, goSum []byte
	goVersion    string
	arch         string
	link         []string // linker flags of every tool of the module
}

// key names a recipe. Parts are length-prefixed, so that no two recipes can
// run together into the same text.
func (r recipe) key() string {
	h := sha256.New()
	parts := append([]string{string(r.goMod), string(r.goSum), r.goVersion, r.arch}, r.link...)
	for _, p := range append(parts, buildFlags...) {
		fmt.Fprintf(h, "%d:%s;", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// moduleDir is where the binaries of a module live for its present recipe.
func (c *Cache) moduleDir(module, goVersion string) (string, error) {
	folder := filepath.Join(c.Source, "hack", "tools", module)
	goMod, err := os.ReadFile(filepath.Join(folder, "go.mod"))
	if err != nil {
		return "", err
	}
	goSum, err := os.ReadFile(filepath.Join(folder, "go.sum"))
	if err != nil {
		return "", err
	}
	r := recipe{goMod: goMod, goSum: goSum, goVersion: goVersion, arch: c.Arch}
	for _, t := range tools {
		if t.Module == module {
			r.link = append(r.link, t.Name+" "+t.Link)
		}
	}
	return filepath.Join(c.Root, module, r.key()), nil
}

// goVersion asks the go command on the PATH, which may differ from the one that
// built this program.
func goVersion(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOVERSION").Output()
	return strings.TrimSpace(string(out)), err
}

// SourceRoot finds the checkout above the working directory.
func SourceRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), modulePath) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New(
				"no go.mod of github.com/s3populator/s3populator above the working directory; run from inside the checkout",
			)
		}
	}
}
