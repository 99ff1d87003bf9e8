// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// standardLibrary is the code of Go that every program holds.
func standardLibrary(ctx context.Context) (linked, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return linked{}, fmt.Errorf("go env GOROOT: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "LICENSE")
	return linked{module: "the standard library of Go", licenses: map[string][]string{path: nil}}, nil
}

// texts are the license files of modules, one after the other. A text that several modules have
// byte for byte stands there once, below all their names.
func texts(modules []linked) (string, error) {
	var order []string
	owners := map[string][]string{}
	for _, m := range modules {
		if len(m.licenses) == 0 && read[m.module] == "" {
			return "", fmt.Errorf("%s has no license file", m.module)
		}
		for _, path := range slices.Sorted(maps.Keys(m.licenses)) {
			content, err := os.ReadFile(path) //nolint:gosec // A file of the module cache.
			if err != nil {
				return "", fmt.Errorf("read the license of %s: %w", m.module, err)
			}
			text := strings.TrimSpace(string(content))
			if owners[text] == nil {
				order = append(order, text)
			}
			owners[text] = append(owners[text], m.module)
		}
		if len(m.licenses) == 0 {
			order = append(order, read[m.module])
			owners[read[m.module]] = []string{m.module}
		}
	}
	var b strings.Builder
	for _, text := range order {
		fmt.Fprintf(&b, "%s\n\n%s\n\n%s\n\n", strings.Join(slices.Compact(owners[text]), "\n"), text, strings.Repeat("-", 80))
	}
	return b.String(), nil
}
