// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// top of the repository, from here.
var top = filepath.Join("..", "..")

// mostLines of a file that people write. Longer ones hold more than one role.
const mostLines = 400

// license is the first line of every Go file.
const license = "// SPDX-License-Identifier: Apache-2.0\n"

// vague names say nothing about a role.
var vague = []string{"utils", "util", "common", "helpers", "helper", "types", "misc", "shared", "constants"}

func TestFilesAreShortLicensedAndNamedByRole(t *testing.T) {
	seen := 0
	eachGoFile(t, func(path string, text []byte) {
		seen++
		for _, problem := range problems(path, text) {
			t.Errorf("%s: %s", path, problem)
		}
	})
	if seen < 50 {
		t.Errorf("only %d Go files were found", seen)
	}
}

func TestProblemsOfFiles(t *testing.T) {
	long := license + strings.Repeat("\n", mostLines)
	tests := map[string]struct {
		path, text string
		want       int
	}{
		"a sound file":               {"mover/plan.go", license, 0},
		"a file without the license": {"mover/plan.go", "package mover\n", 1},
		"a file that is too long":    {"mover/plan.go", long, 1},
		"a long generated file":      {"api/v1alpha1/zz_generated.deepcopy.go", long, 0},
		"a file named utils":         {"mover/utils.go", license, 1},
		"a test named after utils":   {"mover/utils_test.go", license, 1},
		"a folder named common":      {"common/plan.go", license, 1},
		"a kind's types file":        {"api/v1alpha1/s3source_types.go", license, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := problems(filepath.FromSlash(test.path), []byte(test.text)); len(got) != test.want {
				t.Errorf("found %q, want %d", got, test.want)
			}
		})
	}
}

func problems(path string, text []byte) []string {
	name := strings.TrimSuffix(filepath.Base(path), ".go")
	if strings.HasPrefix(name, "zz_generated") {
		return nil
	}
	var found []string
	if !bytes.HasPrefix(text, []byte(license)) {
		found = append(found, "its first line is not "+strings.TrimSpace(license))
	}
	if n := bytes.Count(text, []byte("\n")); n > mostLines {
		found = append(found, "it has more than 400 lines; split it by role")
	}
	parts := append(strings.Split(filepath.ToSlash(filepath.Dir(path)), "/"), strings.TrimSuffix(name, "_test"))
	for _, part := range parts {
		if slices.Contains(vague, part) {
			found = append(found, "the name "+part+" does not tell its role")
		}
	}
	return found
}

// eachGoFile visits the Go files of the checkout, but not what builds leave behind.
func eachGoFile(t *testing.T, visit func(path string, text []byte)) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() &&
			(d.Name() == "bin" || d.Name() == "dist" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") &&
				d.Name() != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		visit(relative, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
