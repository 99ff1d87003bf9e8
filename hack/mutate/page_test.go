// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// page is where people read which test notices what.
var page = filepath.Join(top, "docs", "design", "0020-tests-that-notice.md")

// The page lists every patch under the tests that kill it, and nothing else.
func TestKillersExistOnThePage(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(text), "| Package | Tests, and the mutations that each notices |\n| --- | --- |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	if want := pageRows(patches(t)); rows != want {
		t.Errorf("the table of %s is out of date; it has to be:\n%s", page, want)
	}
}

// pageRows has a row for each package, and in it the patches of each test, by name.
func pageRows(all []patch) string {
	order, names := map[string][]string{}, map[string][]string{}
	for _, p := range all {
		tests := map[string][]string{} // By package.
		for _, k := range p.killers {
			for name := range strings.SplitSeq(k.tests, "|") {
				function, _, _ := strings.Cut(strings.Trim(name, "^$"), "/")
				tests[k.dir()] = append(tests[k.dir()], "`"+strings.TrimSuffix(function, "$")+"`")
			}
		}
		for dir, functions := range tests {
			by := strings.Join(slices.Compact(functions), ", ")
			if key := dir + " " + by; names[key] == nil {
				order[dir] = append(order[dir], by)
			}
			names[dir+" "+by] = append(names[dir+" "+by], p.name)
		}
	}
	var rows []string
	for _, dir := range slices.Sorted(maps.Keys(order)) {
		var cells []string
		for _, by := range order[dir] {
			cells = append(cells, by+": "+strings.Join(names[dir+" "+by], ", "))
		}
		rows = append(rows, fmt.Sprintf("| %s | %s |", dir, strings.Join(cells, "; ")))
	}
	return strings.Join(rows, "\n")
}
