// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"testing"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestAResumeTakesLittleMemory: what fits once must fit again, with a journal that knows every file.
func TestAResumeTakesLittleMemory(t *testing.T) {
	const files, most = 200_000, 64 // Bytes per file, beside the plan and the ledger.
	v, _ := journalVolume(t)
	p, err := plan.NewPlanner(wire.Request{Operation: wire.Populate})
	mustDo(t, err)
	for i := range files {
		p.Add(fmt.Sprintf("directory/%09d", i), 5, hexMD5("hello"))
	}
	made, err := p.Finish()
	mustDo(t, err)
	j, _ := read(t, v, "r")
	for entries := range slices.Chunk(made.Entries, 1000) {
		var lines []ledger.Line
		for _, e := range entries {
			lines = append(lines, ledger.Line{Path: e.Path, Size: 5, ModTime: 1, By: proof.ByMD5, ETag: hexMD5("hello")})
		}
		mustDo(t, j.Add(lines))
	}
	tr := &transfer{
		mover:  &mover{plan: made, options: Options{Log: io.Discard}, progress: &progress{}},
		volume: v, journal: j, ledger: ledger.New(made),
	}
	before := inUse()
	r := tr.remains()
	mustDo(t, j.Replay(r.read))
	if got := int(inUse()-before) / files; got > most {
		t.Errorf("a resume keeps %d bytes per file, want %d at most", got, most)
	}
	if n := len(r.kept); n != files || r.kept[files-1].by != proof.ByMD5 {
		t.Errorf("%d files are kept, want %d", n, files)
	}
}

// inUse is what is reachable on the heap, in bytes.
func inUse() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
