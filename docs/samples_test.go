// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const samples = "manifests/samples"

// shown is a manifest in a document: a comment that names the file, and a copy of it.
var shown = regexp.MustCompile("(?ms)^<!-- sample: (\\S+) -->\n```yaml\n(.*?)```$")

// manifests are the documents that show manifests.
var manifests = []string{"README.md", "docs/guide.md"}

func TestManifestsShownAreTheSamples(t *testing.T) {
	used := map[string]bool{}
	for _, path := range manifests {
		text := document(t, path)
		if *update {
			text = rewrite(t, path, text)
		}
		found := shown.FindAllStringSubmatch(text, -1)
		for _, m := range found {
			used[m[1]] = true
			if diff := cmp.Diff(document(t, filepath.Join(samples, m[1])), m[2]); diff != "" {
				t.Errorf("%s shows another %s; run `go test ./docs -update` (-sample +document):\n%s", path, m[1], diff)
			}
		}
		if fences := strings.Count(text, "```yaml"); fences != len(found) {
			t.Errorf("%s has %d manifests, but %d name a sample", path, fences, len(found))
		}
	}
	for _, name := range sampleNames(t) {
		if !used[name] {
			t.Errorf("%s/%s is shown nowhere", samples, name)
		}
	}
}

func rewrite(t *testing.T, path, text string) string {
	t.Helper()
	text = shown.ReplaceAllStringFunc(text, func(block string) string {
		name := shown.FindStringSubmatch(block)[1]
		return "<!-- sample: " + name + " -->\n```yaml\n" + document(t, filepath.Join(samples, name)) + "```"
	})
	if err := os.WriteFile(filepath.Join(top, path), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return text
}

func sampleNames(t *testing.T) []string {
	t.Helper()
	root := filepath.Join(top, samples)
	var all []string
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" || ofChart(path) {
			return err
		}
		name, err := filepath.Rel(root, path)
		all = append(all, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ofChart tells what an example of somebody else's chart is made of, beside the values that
// a user of ours writes for it.
func ofChart(path string) bool {
	return strings.Contains(path, "/third-party/") && !strings.HasSuffix(path, ".values.yaml")
}
