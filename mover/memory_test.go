// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/s3populator/s3populator/internal/testenv"
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
	var lines []ledger.Line
	for i, e := range made.Entries.All() {
		lines = append(lines, ledger.Line{Path: e.Path, Size: 5, ModTime: 1, By: proof.ByMD5, ETag: hexMD5("hello")})
		if (i+1)%1000 == 0 {
			mustDo(t, j.Add(lines))
			lines = lines[:0]
		}
	}
	tr := transferOf(v, j, &proof.Prover{Plan: made})
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

// TestAResumeOfALargeObjectTakesLittleMemory: of one of 5 TiB a journal may have a million lines.
func TestAResumeOfALargeObjectTakesLittleMemory(t *testing.T) {
	const blocks, block, most = 200_000, 4 << 20, 40 // Bytes per block.
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "directory/large", size: blocks * block})
	mustDo(t, err)
	v, _ := journalVolume(t)
	j, _ := read(t, v, "r")
	for n := range slices.Chunk(make([]struct{}, blocks), 1000) {
		var lines []ledger.Line
		for range n {
			lines = append(lines, ledger.Line{
				Path: "directory/large", ETag: p.TagText(p.Entries.At(0).ETag),
				Offset: int64(len(lines)) * block, Size: block, Summed: true,
			})
		}
		mustDo(t, j.Add(lines))
	}
	tr := &transfer{plan: p, ledger: ledger.New(p)}
	before := inUse()
	r := tr.remains()
	mustDo(t, j.Replay(r.read))
	if got := int(inUse()-before) / blocks; got > most {
		t.Errorf("a resume keeps %d bytes per block, want %d at most", got, most)
	}
	if n := len(r.begun[0].blocks); n != blocks {
		t.Errorf("%d blocks are kept, want %d", n, blocks)
	}
}

// millionKeys is how many a mover has to be able to hold in 128 MiB.
const millionKeys = 1_000_000

func keyOfMillion(i int) string {
	return fmt.Sprintf("data/2026/11/part-%05d/file-%07d.parquet", i/10_000, i)
}

// TestAMillionKeysTakeLittleMemory: the plan, what became of each of its objects, and the list of what is left
// to do are held until the end.
func TestAMillionKeysTakeLittleMemory(t *testing.T) {
	if testenv.Race {
		t.Skip("measures memory")
	}
	const most = 82 // Bytes per key.
	before, peak := inUse(), int64(0)
	p, err := plan.NewPlanner(wire.Request{Operation: wire.Populate, Source: wire.Source{Prefix: "data"}})
	mustDo(t, err)
	for i := range millionKeys {
		p.Add(keyOfMillion(i), 5, hexMD5(keyOfMillion(i)))
		if i%200_000 == 0 {
			peak = max(peak, inUse())
		}
	}
	made, err := p.Finish()
	mustDo(t, err)
	l := ledger.New(made)
	todo := l.Todo()
	after := inUse()
	got := (max(peak, after) - before) / millionKeys
	t.Logf("a key takes %d bytes, %d of them for its name", got, len(keyOfMillion(0)))
	if got > most {
		t.Errorf("a key takes %d bytes, want %d at most", got, most)
	}
	if made.Entries.Len() != millionKeys || len(todo) != millionKeys {
		t.Errorf("%d entries, %d to do", made.Entries.Len(), len(todo))
	}
	runtime.KeepAlive(p)
	runtime.KeepAlive(l)
}

// inUse is what is reachable on the heap, in bytes.
func inUse() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
