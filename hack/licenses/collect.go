// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// program is a binary that an image holds.
type program struct {
	name   string
	folder string // of the module that builds it, below the checkout
	pkg    string
	// also are licenses that this program may have beside those that all may have.
	also []string
}

// linked is a module whose code is in a binary, and the texts of its licenses by path.
type linked struct {
	module   string
	licenses map[string][]string
}

// listed is what `go list -deps` tells of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version, Dir string }
	}
}

// licenseFile matches the names under which modules keep their terms.
var licenseFile = regexp.MustCompile(`(?i)^(un)?(licen[sc]e|copying)([._-].*)?$`)

// collect returns the modules that a program links for Linux, without the standard library and
// this project itself.
func collect(ctx context.Context, source string, p program) ([]linked, error) {
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=Dir,Standard,Module", p.pkg) //nolint:gosec // Of programs.
	cmd.Dir = filepath.Join(source, p.folder)
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list %s in %s: %w", p.pkg, p.folder, err)
	}
	modules := map[string]linked{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("read the answer of go list: %w", err)
		}
		if l.Standard || l.Module == nil || l.Module.Main {
			continue
		}
		m, ok := modules[l.Module.Path]
		if !ok {
			m = linked{module: l.Module.Path + " " + l.Module.Version, licenses: map[string][]string{}}
			modules[l.Module.Path] = m
		}
		if err := m.read(l.Dir, l.Module.Dir); err != nil {
			return nil, fmt.Errorf("read the licenses of %s: %w", m.module, err)
		}
	}
	all := make([]linked, 0, len(modules))
	for _, m := range modules {
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b linked) int { return strings.Compare(a.module, b.module) })
	return all, nil
}

// read adds the license files of a package's folder and of those above it in its module: code
// that was copied from elsewhere has its own.
func (l linked) read(dir, top string) error {
	for ; strings.HasPrefix(dir, top); dir = filepath.Dir(dir) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := filepath.Join(dir, e.Name())
			if _, known := l.licenses[path]; known || e.IsDir() || !licenseFile.MatchString(e.Name()) || isCode(e.Name()) {
				continue
			}
			text, err := os.ReadFile(path) //nolint:gosec // A file of the module cache.
			if err != nil {
				return err
			}
			l.licenses[path] = classify(string(text))
		}
	}
	return nil
}

func isCode(name string) bool { return filepath.Ext(name) == ".go" }
