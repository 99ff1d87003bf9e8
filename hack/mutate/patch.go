// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// killedBy begins the header line that names a test.
const killedBy = "# Killed-by:"

// patch is one way to break the product. Its file is a unified diff below a header:
//
//	# The rebind carries no resourceVersion.
//	# Killed-by: go test ./populator/protocol -run TestRebindPatch
//
// More sentences may follow the first, and more tests: each of them has to notice.
type patch struct {
	// name is the file's, without its extension.
	name string
	// file is a path from the top of the repository.
	file string
	// breaks is the first sentence of the header.
	breaks string
	// packages that it changes, as Go names them from the top; none for manifests.
	packages []string
	killers  []killer
}

// needsNode tells that a story on a real node is among its tests.
func (p patch) needsNode() bool {
	for _, k := range p.killers {
		if k.story() {
			return true
		}
	}
	return false
}

// readPatches reads all patches of a folder, sorted by name.
func readPatches(dir string) ([]patch, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, fmt.Errorf("list patches: %w", err)
	}
	var all []patch
	for _, file := range files {
		text, err := os.ReadFile(file) //nolint:gosec // A file of this repository.
		if err != nil {
			return nil, fmt.Errorf("read patch: %w", err)
		}
		p, err := parsePatch(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		p.name, p.file = strings.TrimSuffix(filepath.Base(file), ".patch"), file
		all = append(all, p)
	}
	return all, nil
}

// packagesOf are the packages whose Go files a diff changes, each once.
func packagesOf(diff string) (packages []string) {
	for line := range strings.Lines(diff) {
		file, ok := strings.CutPrefix(strings.TrimSpace(line), "+++ b/")
		if name := "./" + path.Dir(file); ok && path.Ext(file) == ".go" && !slices.Contains(packages, name) {
			packages = append(packages, name)
		}
	}
	return packages
}

// parsePatch reads the header of a patch.
func parsePatch(text string) (patch, error) {
	p := patch{packages: packagesOf(text)}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		comment, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		if command, ok := strings.CutPrefix(line, killedBy); ok {
			k, err := parseKiller(command)
			if err != nil {
				return patch{}, err
			}
			p.killers = append(p.killers, k)
		} else if p.breaks == "" {
			p.breaks = strings.TrimSpace(comment)
		}
	}
	switch {
	case p.breaks == "":
		return patch{}, errors.New("its first line is not `# what it breaks`")
	case len(p.killers) == 0:
		return patch{}, fmt.Errorf("its header has no line `%s go test ./PACKAGE -run TestName`", killedBy)
	case !strings.Contains(text, "\n--- a/") || !strings.Contains(text, "\n+++ b/"):
		return patch{}, errors.New("it holds no unified diff of a/ and b/")
	}
	return p, nil
}
