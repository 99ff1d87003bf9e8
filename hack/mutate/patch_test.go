// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// top of the repository, from here.
var top = filepath.Join("..", "..")

// fewest patches: fewer mean that the folder was not found.
const fewest = 60

// A patch that does not apply any more proves nothing, and nobody would notice: whoever
// changes the lines that it is about makes it anew.
func TestPatchesApply(t *testing.T) {
	for _, p := range patches(t) {
		t.Run(p.name, func(t *testing.T) {
			file, err := filepath.Abs(p.name + ".patch")
			if err != nil {
				t.Fatal(err)
			}
			check := exec.CommandContext(t.Context(), "git", "apply", "--check", file)
			check.Dir = top
			// Beyond the repository git looks at paths as they are, also in an export without .git.
			check.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(filepath.Dir(file)))
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("it does not apply, make it anew: %s", firstLine(string(out)))
			}
		})
	}
}

// A test that is named in a patch exists.
func TestKillersExist(t *testing.T) {
	names := map[string][]string{} // By package.
	for _, p := range patches(t) {
		for _, k := range p.killers {
			if names[k.dir()] == nil {
				names[k.dir()] = testsOf(t, k.dir())
			}
			for _, want := range k.top() {
				if !slices.ContainsFunc(names[k.dir()], want.MatchString) {
					t.Errorf("%s: there is no test %s in %s", p.name, want, k.dir())
				}
			}
		}
	}
}

func patches(t *testing.T) []patch {
	t.Helper()
	all, err := readPatches(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < fewest {
		t.Fatalf("only %d patches were found", len(all))
	}
	return all
}

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// testsOf are the names of the tests of a package.
func testsOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(top, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range testFunction.FindAllSubmatch(text, -1) {
			names = append(names, string(found[1]))
		}
	}
	return names
}

func TestParsePatch(t *testing.T) {
	const diff = "--- a/x.go\n+++ b/x.go\n@@ -1 +1 @@\n-a\n+b\n"
	cases := map[string]struct {
		text string
		want string // Of the error; empty is none.
	}{
		"a whole one":         {"# It breaks.\n# Killed-by: go test ./populator -run TestX\n" + diff, ""},
		"a story":             {"# It breaks.\n# Killed-by: hack/test.sh e2e -run 'TestX|TestY'\n" + diff, ""},
		"no sentence":         {"# Killed-by: go test ./populator -run TestX\n" + diff, "what it breaks"},
		"no test":             {"# It breaks.\n" + diff, "Killed-by"},
		"no diff":             {"# It breaks.\n# Killed-by: go test ./populator -run TestX\n", "unified diff"},
		"another program":     {"# It breaks.\n# Killed-by: rm -rf ./x -run TestX\n" + diff, "neither"},
		"a package of others": {"# It breaks.\n# Killed-by: go test example.com/x -run TestX\n" + diff, "neither"},
		"all tests":           {"# It breaks.\n# Killed-by: go test ./populator -run .\n" + diff, "does not name tests"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := parsePatch(c.text)
			if c.want == "" && (err != nil || p.breaks != "It breaks." || len(p.killers) != 1) {
				t.Errorf("read %+v, %v", p, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
