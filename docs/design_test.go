// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const designs = "docs/design"

// onePage is how many lines a decision may take.
const onePage = 75

var designTitle = regexp.MustCompile(`^# (\d{4}): (.+)\n`)

// TestDesignPages: numbers without gaps or duplicates, one page each, and an index of all.
func TestDesignPages(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(top, designs))
	if err != nil {
		t.Fatal(err)
	}
	var index strings.Builder
	number := 0
	for _, e := range entries {
		if e.Name() == "README.md" {
			continue
		}
		number++
		text := document(t, filepath.Join(designs, e.Name()))
		want := fmt.Sprintf("%04d", number)
		title := designTitle.FindStringSubmatch(text)
		if len(title) < 2 || title[1] != want || !strings.HasPrefix(e.Name(), want+"-") {
			t.Fatalf("%s: the name and the title must begin with %s", e.Name(), want)
		}
		if n := strings.Count(text, "\n"); n > onePage {
			t.Errorf("%s has %d lines, want at most %d", e.Name(), n, onePage)
		}
		for _, part := range []string{"Context", "Decision", "Consequences"} {
			section(t, text, part)
		}
		fmt.Fprintf(&index, "| [%s](%s) | %s |\n", want, e.Name(), title[2])
	}
	if number < 18 {
		t.Fatalf("only %d pages were found", number)
	}
	_, rows, _ := strings.Cut(document(t, filepath.Join(designs, "README.md")), "| --- | --- |\n")
	if rows != index.String() {
		t.Errorf("the index of %s must be:\n%s", designs, index.String())
	}
}
