// SPDX-License-Identifier: Apache-2.0

// Command apidocs prints the API reference as Markdown:
//
//	go run ./hack/apidocs > docs/api.md
//
// It reads the CustomResourceDefinitions in manifests/crd and nothing else, so what it
// prints is what an API server enforces. Equal input gives equal output.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"
)

// definitions is the folder of the generated CustomResourceDefinitions, from the top of
// the repository.
const definitions = "manifests/crd"

func main() {
	if err := run(os.Stdout, definitions); err != nil {
		fmt.Fprintln(os.Stderr, "apidocs:", err)
		os.Exit(1)
	}
}

func run(to io.Writer, dir string) error {
	all, err := read(dir)
	if err != nil {
		return err
	}
	p := newPage()
	p.title(all)
	for _, d := range all {
		p.kind(d)
	}
	if err := p.unused(); err != nil {
		return err
	}
	_, err = io.WriteString(to, p.String())
	return err //nolint:wrapcheck // It names the file itself.
}

// read returns the definitions of a folder, those that users write first.
func read(dir string) ([]definition, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*_*.yaml"))
	if err != nil {
		return nil, fmt.Errorf("list definitions: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("list definitions: no *_*.yaml in %s; run from the top of the repository", dir)
	}
	all := make([]definition, 0, len(files))
	for _, name := range files {
		text, err := os.ReadFile(name) // #nosec G304 -- a file of this repository.
		if err != nil {
			return nil, fmt.Errorf("read definition: %w", err)
		}
		var d definition
		if err := yaml.Unmarshal(text, &d); err != nil {
			return nil, fmt.Errorf("read definition %s: %w", name, err)
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, byReader)
	return all, nil
}
