// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// A file system that spells names in its own way shows a verified file under another name, which is not extra. A file
// of another device that has the number of its inode is.
func TestOnlyTheVerifiedFileItselfIsSpared(t *testing.T) {
	t.Parallel()
	p, err := makePlan(t, wire.Request{Operation: wire.Import}, object{key: "wanted", size: 5})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := plan.NewFilter(wire.Source{})
	if err != nil {
		t.Fatal(err)
	}
	u := &InUse{temporary: temporaryStart + "run-1-"}
	x := Extra{Volume: u, Dir: ".", Plan: p, Filter: filter, Verified: FileSet{}}
	x.Verified.Add(&unix.Stat_t{Dev: 1, Ino: 7})
	for what, tt := range map[string]struct {
		name        string
		device, ino uint64
		want        bool
	}{
		"a file of the source":              {"wanted", 1, 9, false},
		"the verified file":                 {"another spelling", 1, 7, false},
		"another file":                      {"extra", 1, 8, true},
		"the same number on another device": {"extra", 2, 7, true},
	} {
		if got := x.isExtra(tt.name, &unix.Stat_t{Dev: tt.device, Ino: tt.ino}); got != tt.want {
			t.Errorf("%s is extra: %v, want %v", what, got, tt.want)
		}
	}
}
