// SPDX-License-Identifier: Apache-2.0

// Package docs_test keeps the documents true where a machine can: every reason, metric and
// flag is explained, every link leads somewhere, and every manifest shown is a tested file.
package docs_test

import (
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// update rewrites the manifests in the documents from manifests/samples.
var update = flag.Bool("update", false, "rewrite the manifests that the documents show")

// top of the repository, from here.
const top = ".."

// document returns a file's text, by its path from the top.
func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// documents are all Markdown files, by their paths from the top.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != top && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "dist") {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			relative, err := filepath.Rel(top, path)
			if err != nil {
				return err
			}
			all = append(all, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// section is the text below a heading of the second level, up to the next one.
func section(t *testing.T, text, heading string) string {
	t.Helper()
	_, after, ok := strings.Cut(text, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	body, _, _ := strings.Cut(after, "\n## ")
	return body
}

// key is the code in the first cell of a row.
var key = regexp.MustCompile("^`([^`]+)`")

// rows maps the code in the first cell of each table row to the other cells.
func rows(text string) map[string][]string {
	found := map[string][]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || !strings.HasSuffix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if m := key.FindStringSubmatch(cells[0]); m != nil {
			found[m[1]] = cells[1:]
		}
	}
	return found
}
