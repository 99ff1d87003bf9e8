// SPDX-License-Identifier: Apache-2.0

// Package toolchain builds the programs that tests and images need, each from
// the module under hack/tools that pins it, and keeps the results in a cache
// outside the checkout. It never downloads a binary, never installs one into
// the system, and never hands out one whose bytes are not those it built.
package toolchain

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

// Tool is one pinned program.
type Tool struct {
	Name    string // file name of the binary
	Module  string // folder under hack/tools that pins it
	Package string // import path of its main package
	Link    string // linker flags beyond stripping
}

// Cache builds tools on demand and remembers them.
type Cache struct {
	Root   string    // where binaries are kept
	Source string    // top folder of this project's checkout
	Arch   string    // GOARCH to build for
	Log    io.Writer // one line per build, silence on reuse
}

// Open returns the user's cache for the checkout that the working directory
// is in.
func Open(log io.Writer) (*Cache, error) {
	source, err := SourceRoot()
	if err != nil {
		return nil, fmt.Errorf("find the checkout: %w", err)
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find the cache directory (set HOME or XDG_CACHE_HOME): %w", err)
	}
	return &Cache{Root: filepath.Join(base, "s3populator"), Source: source, Arch: runtime.GOARCH, Log: log}, nil
}

// Ensure returns the path of each named tool, building those that are missing
// or damaged. No names means all tools.
func (c *Cache) Ensure(ctx context.Context, names ...string) (map[string]string, error) {
	byModule, err := group(names)
	if err != nil {
		return nil, err
	}
	goVersion, err := goVersion(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the go command for its version: %w", err)
	}
	paths := map[string]string{}
	for _, module := range slices.Sorted(maps.Keys(byModule)) {
		dir, err := c.moduleDir(module, goVersion)
		if err != nil {
			return nil, fmt.Errorf("compute the cache key of %s: %w", module, err)
		}
		if err := c.ensureModule(ctx, module, dir, byModule[module]); err != nil {
			return nil, fmt.Errorf("build %s: %w", module, err)
		}
		for _, t := range byModule[module] {
			paths[t.Name] = filepath.Join(dir, t.Name)
		}
	}
	return paths, nil
}

// Built returns the path of a tool at its pinned version when it is in the cache,
// and an error when it is not. It builds nothing.
func (c *Cache) Built(ctx context.Context, name string) (string, error) {
	byModule, err := group([]string{name})
	if err != nil {
		return "", err
	}
	goVersion, err := goVersion(ctx)
	if err != nil {
		return "", fmt.Errorf("ask the go command for its version: %w", err)
	}
	for module, want := range byModule {
		dir, err := c.moduleDir(module, goVersion)
		if err != nil {
			return "", fmt.Errorf("compute the cache key of %s: %w", module, err)
		}
		if len(damaged(dir, want)) == 0 {
			return filepath.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("no %s of the pinned version is in %s", name, c.Root)
}

// group finds the tools by name and sorts them by the module that pins them.
func group(names []string) (map[string][]Tool, error) {
	if len(names) == 0 {
		names = Names()
	}
	out := map[string][]Tool{}
	for _, name := range names {
		i := slices.IndexFunc(tools, func(t Tool) bool { return t.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no tool is named %q; there are %v", name, Names())
		}
		module := tools[i].Module
		if !slices.Contains(out[module], tools[i]) {
			out[module] = append(out[module], tools[i])
		}
	}
	return out, nil
}

// ensureModule builds whichever of the module's tools dir does not hold intact.
// Only the check runs unlocked: a reader never waits for another's build of
// something it does not need.
func (c *Cache) ensureModule(ctx context.Context, module, dir string, want []Tool) error {
	if len(damaged(dir, want)) == 0 {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("create the cache: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(dir, ".lock"))
	if err != nil {
		return fmt.Errorf("lock the cache: %w", err)
	}
	defer unlock()
	missing := damaged(dir, want) // another run may have built them meanwhile
	for _, batch := range byLinkFlags(missing) {
		if err := c.build(ctx, module, dir, batch); err != nil {
			return err
		}
	}
	return nil
}
