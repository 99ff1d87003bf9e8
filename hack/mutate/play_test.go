// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const (
	product = "package sum\n\n// Add adds.\nfunc Add(a, b int) int {\n\treturn a + b\n}\n"
	tests   = `package sum

import "testing"

func TestAdd(t *testing.T) {
	if got := Add(2, 3); got != 5 {
		t.Errorf("got %d", got)
	}
}

func TestBlind(t *testing.T) { Add(2, 3) }

func TestBroken(t *testing.T) { t.Error("always") }

func TestSkipped(t *testing.T) { t.Skip("not here") }
`
	header = "# It breaks.\n# Killed-by: go test ./sum -run TEST\n"
	diff   = "--- a/sum/sum.go\n+++ b/sum/sum.go\n@@ -4,3 +4,3 @@\n" +
		" func Add(a, b int) int {\n-\treturn a + b\n+\treturn RESULT\n }\n"
)

// TestPlay plays patches on a repository of one package.
func TestPlay(t *testing.T) {
	cases := map[string]struct {
		test, result string
		outcome, by  string
	}{
		"a test that notices":         {"TestAdd", "a - b", killed, "TestAdd sum_test.go:7: got -1"},
		"a test that does not":        {"TestBlind", "a - b", survived, "go test ./sum -run 'TestBlind'"},
		"a mutation without a change": {"TestAdd", "b + a", survived, "go test ./sum -run 'TestAdd'"},
		"code that does not build":    {"TestAdd", "nothing", unjudged, "undefined: nothing"},
		"a test that always fails":    {"TestBroken", "a - b", unjudged, "TestBroken fails without a mutation"},
		"a test that is skipped":      {"TestSkipped", "a - b", unjudged, "no test TestSkipped passes without a mutation"},
		"a test that does not exist":  {"TestNone", "a - b", unjudged, "no test TestNone passes without a mutation"},
	}
	dir := repository(t)
	for name, c := range cases {
		text := strings.ReplaceAll(header, "TEST", c.test) + strings.ReplaceAll(diff, "RESULT", c.result)
		write(t, filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".patch"), text)
	}
	stale := strings.ReplaceAll(header, "TEST", "TestAdd") + strings.Replace(diff, "a + b", "a * b", 1)
	write(t, filepath.Join(dir, "stale.patch"), stale)
	all, err := readPatches(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		all[i].file = all[i].name + ".patch"
	}
	copied, err := newScratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.remove()
	got := map[string]result{}
	results := play(t.Context(), copied, all)
	for _, r := range results {
		got[strings.ReplaceAll(r.patch.name, "-", " ")] = r
	}
	for name, c := range cases {
		if r := got[name]; r.outcome != c.outcome || !strings.Contains(r.by, c.by) {
			t.Errorf("%s: %s by %q, want %s by %q", name, r.outcome, r.by, c.outcome, c.by)
		}
	}
	if r := got["stale"]; r.outcome != unjudged || !strings.Contains(r.by, "does not apply") {
		t.Errorf("a stale patch: %s by %q", r.outcome, r.by)
	}
	if err := verdict(results); err == nil ||
		!strings.Contains(err.Error(), "1 killed, 2 survived, 5 could not be judged") {
		t.Errorf("verdict %v", err)
	}
	if left, err := os.ReadFile(filepath.Join(dir, "sum", "sum.go")); err != nil || string(left) != product {
		t.Errorf("the checkout was changed: %s, %v", left, err)
	}
}

// A run that fails is a proof only where a named test failed in it.
func TestUnnoticed(t *testing.T) {
	k, err := parseKiller("hack/test.sh e2e -run 'TestStory$|TestOther/of'")
	if err != nil {
		t.Fatal(err)
	}
	const failure = "=== RUN   TestStory\n--- FAIL: TestStory (1.00s)\n    x_test.go:7: lost\nFAIL\n"
	cases := map[string]struct {
		out  string
		want string // Empty where it is a proof.
	}{
		"a named test":               {failure, ""},
		"a named test that panics":   {"--- FAIL: TestStory (0.00s)\npanic: nil map [recovered]\n", ""},
		"a subtest of a named one":   {"--- FAIL: TestOther (1.00s)\n    --- FAIL: TestOther/of (1.00s)\n", ""},
		"a node that does not start": {"start the node: no space left on device\nFAIL\n", "no named test failed: FAIL"},
		"nothing said":               {"", "no named test failed"},
		"another test":               {strings.ReplaceAll(failure, "TestStory", "TestStoryOfOthers"), "no named test failed"},
		"only what a test prints":    {"    --- FAIL: TestStory (1.00s)\nFAIL\n", "no named test failed"},
		"a timeout":                  {failure + "panic: test timed out after 5m0s\n", "test timed out after 5m0s"},
		"a kill":                     {"=== RUN   TestStory\nsignal: killed\n", "no named test failed: signal: killed"},
		"a panic of the runner": {
			"=== RUN   TestStory\npanic: send on closed channel\nexit status 2\n",
			"no named test",
		},
		"no build":       {"FAIL\texample.com/x [build failed]\n", "does not build"},
		"no setup":       {"FAIL\texample.com/x [setup failed]\n", "does not build"},
		"no test to run": {"testing: warning: no tests to run\nPASS\n", "no named test failed: PASS"},
	}
	for name, c := range cases {
		if got := unnoticed(c.out, k); (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// A node that does not start with a mutation proves nothing of the story.
func TestPlayWithoutANode(t *testing.T) {
	dir := repository(t)
	script := filepath.Join(dir, "hack", "test.sh")
	write(t, script, `#!/bin/sh
grep -q "a + b" sum/sum.go && echo "--- PASS: TestStory (1.00s)" && exit 0
echo "start the node: no space left on device" >&2
exit 1
`)
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "story.patch"),
		"# It breaks.\n# Killed-by: hack/test.sh e2e -run TestStory\n"+strings.ReplaceAll(diff, "RESULT", "a - b"))
	all, err := readPatches(dir)
	if err != nil {
		t.Fatal(err)
	}
	all[0].file = "story.patch"
	copied, err := newScratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer copied.remove()
	if r := play(t.Context(), copied, all)[0]; r.outcome != unjudged || !strings.Contains(r.by, "no space left") {
		t.Errorf("%s by %q", r.outcome, r.by)
	}
}

func TestVerdictOfKilledOnes(t *testing.T) {
	if err := verdict([]result{{outcome: killed}, {outcome: killed}}); err != nil {
		t.Error(err)
	}
}

// Stories need a node, and are played only when that is asked for.
func TestChoose(t *testing.T) {
	unit := patch{name: "a", killers: []killer{{command: []string{"go", "test", "./x"}, tests: "TestX"}}}
	story := patch{name: "story-b", killers: []killer{{command: []string{storyCommand, "e2e"}, tests: "TestX"}}}
	all, every := []patch{unit, story}, regexp.MustCompile("")
	if got := choose(all, every, false); len(got) != 1 || got[0].name != "a" {
		t.Errorf("without a node: %v", got)
	}
	if got := choose(all, every, true); len(got) != 2 {
		t.Errorf("with a node: %v", got)
	}
	if got := choose(all, regexp.MustCompile("^story"), true); len(got) != 1 || got[0].name != "story-b" {
		t.Errorf("by name: %v", got)
	}
}

// repository is a git repository with one package and its tests.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/sum\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "sum", "sum.go"), product)
	write(t, filepath.Join(dir, "sum", "sum_test.go"), tests)
	if out, err := (scratch{dir}).in(t.Context(), "git", "init", "-q"); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
