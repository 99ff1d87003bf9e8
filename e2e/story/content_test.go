// SPDX-License-Identifier: Apache-2.0

package story

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever differs on a volume shows: otherwise no story proves anything.
func TestDifferences(t *testing.T) {
	want := Content{"a.txt": {Size: 1, SHA256: "aa"}, "d/b.txt": {Size: 2, SHA256: "bb"}, "empty/": {}}
	file := func(path string, size int64, sum string) entry { return entry{path, size, sum, "-rw-rw-r--"} }
	dir := func(path string) entry { return entry{Path: path, Mode: "drwxrwsr-x"} }
	sound := []entry{file("a.txt", 1, "aa"), dir("d"), file("d/b.txt", 2, "bb"), dir("empty")}
	tests := map[string]struct {
		found []entry
		want  []string
	}{
		"all there":           {sound, nil},
		"a file is missing":   {sound[1:], []string{`"a.txt" is missing`}},
		"a directory missing": {sound[:3], []string{`directory "empty" is missing`}},
		"another size": {
			append([]entry{file("a.txt", 2, "aa")}, sound[1:]...),
			[]string{`"a.txt" has 2 bytes, sha256 aa…, the object 1 bytes, sha256 aa…`},
		},
		"other bytes": {
			append([]entry{file("a.txt", 1, "ab")}, sound[1:]...),
			[]string{`"a.txt" has 1 bytes, sha256 ab…, the object 1 bytes, sha256 aa…`},
		},
		"a file too many": {
			append([]entry{file(".s3populator/journal", 1, "")}, sound...),
			[]string{`".s3populator/journal" (-rw-rw-r--, 1 bytes) should not be there`},
		},
		"a directory too many": {append([]entry{dir("x")}, sound...), []string{`directory "x" should not be there`}},
		"a link instead": {
			append([]entry{{"a.txt", 1, "aa", "Lrwxrwxrwx"}}, sound[1:]...),
			[]string{`"a.txt" is no regular file but Lrwxrwxrwx`},
		},
		"an empty volume": {nil, []string{
			`"a.txt" is missing`, `"d/b.txt" is missing`, `directory "d" is missing`, `directory "empty" is missing`,
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(test.want, want.differences(test.found)); d != "" {
				t.Errorf("differences (-want +got):\n%s", d)
			}
		})
	}
}
