// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/crc64nvme"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestRangesThatWereNotSynced are there when their bytes have the sum that was noted, and a lost write
// has not.
func TestRangesThatWereNotSynced(t *testing.T) {
	const block, size = 4 << 20, int64(3 * plan.LargeSize)
	dir := t.TempDir()
	object := content(5, int(size))
	write(t, filepath.Join(dir, "large"), string(object))
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	defer v.Close()
	mustDo(t, v.MakeTarget())
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
	mustDo(t, err)
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Plan: p})
	blockAt := func(at int64) summedRange {
		return summedRange{plan.Range{Offset: at, Length: block}, crc64nvme.Checksum(object[at : at+block])}
	}
	writeAt(t, filepath.Join(dir, "large"), string(make([]byte, 4096)), 60<<20) // It was lost.
	b := &begunFile{
		durable: ledger.Extents{{Length: 32 << 20}},
		blocks:  []summedRange{blockAt(60 << 20), blockAt(48 << 20), blockAt(52 << 20), blockAt(8 << 20)},
	}
	mustDo(t, tr.keepRanges(t.Context(), 0, b))
	want := ledger.Extents{{Length: 32 << 20}, {Offset: 48 << 20, Length: 8 << 20}}
	if got := tr.ledger.Partial.Ranges(0); !slices.Equal(got, want) {
		t.Errorf("the ranges are %v, want %v", got, want)
	}
	stat, err := v.Stat("large")
	mustDo(t, err)
	if taken := stat.Blocks * 512; stat.Size != size || taken > want.Bytes()+1<<20 {
		t.Errorf("the file has size %d and takes %d bytes, want %d and about %d", stat.Size, taken, size, want.Bytes())
	}
}

// TestAFencedMoverGivesNothingBack: the large file that it finds is complete by now, and a pod may have written to it.
func TestAFencedMoverGivesNothingBack(t *testing.T) {
	t.Parallel()
	for how, lose := range map[string]func(t *testing.T, dir string){
		"taken over": takenOver,
		"completed": func(t *testing.T, dir string) {
			mustDo(t, os.RemoveAll(filepath.Join(dir, wire.JournalDir)))
		},
	} {
		t.Run(how, func(t *testing.T) {
			const size = int64(3 * plan.LargeSize)
			v, _ := journalVolume(t)
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
			mustDo(t, err)
			write(t, filepath.Join(v.Dir.Name(), "large"), string(content(5, int(size))))
			j, _ := read(t, v, "r")
			line := ledger.Line{Path: "large", ETag: p.TagText(p.Entries.At(0).ETag), Size: plan.LargeSize}
			behind := line
			behind.Offset = 2 * plan.LargeSize
			mustDo(t, j.Add([]ledger.Line{line, behind}))
			tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
			lose(t, v.Dir.Name())
			before := snapshot(t, v.Dir.Name())
			mustFail(t, tr.resume(t.Context()), wire.Fenced, "has taken the volume over")
			if snapshot(t, v.Dir.Name()) != before {
				t.Error("the volume was changed")
			}
		})
	}
}

// TestRangesOfAJournal: the ranges that were durable are those of the last checkpoint; others are what
// their sums say. What contradicts the plan is left out.
func TestRangesOfAJournal(t *testing.T) {
	t.Parallel()
	const size = int64(3 * plan.LargeSize)
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
	mustDo(t, err)
	tr := &transfer{plan: p, ledger: ledger.New(p)}
	r := tr.remains()
	for _, l := range []ledger.Line{
		{Offset: 0, Size: 16 << 20},
		{Offset: 32 << 20, Size: 8 << 20},
		{Offset: 20 << 20, Size: 4 << 20, Summed: true},
		{Offset: 0, Size: 32 << 20},
		{Offset: 40 << 20, Size: 16 << 20},
		{Offset: size - 1, Size: 2},
		{Offset: -1, Size: 5},
		{Offset: 1 << 62, Size: 1 << 62},
		{Offset: 5, Size: -5},
		{Offset: size, Size: 4, Summed: true},
	} {
		l.Path, l.ETag = "large", p.TagText(p.Entries.At(0).ETag)
		r.read(l)
	}
	b := r.begun[0]
	if want := (ledger.Extents{{Length: 32 << 20}, {Offset: 40 << 20, Length: 16 << 20}}); !slices.Equal(b.durable, want) {
		t.Errorf("%v is durable, want %v", b.durable, want)
	}
	if len(b.blocks) != 1 || r.furthest[0] != 48<<20 {
		t.Errorf("the blocks are %v, and the furthest is %d", b.blocks, r.furthest[0])
	}
}

// TestKilledBeforeAnyCheckpoint: what a large object had is not fetched again although nothing was
// synced.
func TestKilledBeforeAnyCheckpoint(t *testing.T) {
	s := startVersity(t)
	object := content(5, 8*plan.LargeSize+777)
	p, stuck := half(t, s, object, true)
	s.put(t, "large", object)
	b := newBench(t, p.URL)
	b.request.Transfer.Engine = wire.EngineNative
	b.options.CheckpointEvery = time.Hour
	cmd := b.spawn()
	waitFor(t, time.Minute, "the last range is on its way", stuck.Load)
	journal := filepath.Join(b.paths.Volume, ledger.JournalName)
	waitFor(t, time.Minute, "all others have come", func() bool {
		return noted(journal, "large").Bytes() >= int64(len(object)-64<<20)
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.request.Attempt, b.request.Volume.Began = 2, true
	r := b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"large": object})
	if most := int64(64<<20 + len(object)/100); r.FetchedBytes > most {
		t.Errorf("%d bytes were fetched again, of %d", r.FetchedBytes, len(object))
	}
}

// TestRangesThatWereGivenBackAreNotDurable: where a file system cannot make holes, only the beginning of
// a large file is kept. From then on the journal has to say how far it is anew.
func TestRangesThatWereGivenBackAreNotDurable(t *testing.T) {
	was := fallocate
	t.Cleanup(func() { fallocate = was })
	fallocate = func(int, uint32, int64, int64) error { return unix.EOPNOTSUPP }
	const step = plan.LargeSize
	v, _ := journalVolume(t)
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: 5 * step})
	mustDo(t, err)
	write(t, filepath.Join(v.Dir.Name(), "large"), string(make([]byte, 5*step)))
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Plan: p})
	line := ledger.Line{Path: "large", ETag: p.TagText(p.Entries.At(0).ETag), Size: step}
	behind := line
	behind.Offset = 2 * step
	mustDo(t, j.Add([]ledger.Line{line, behind}))
	r := tr.remains()
	mustDo(t, j.Replay(r.read))
	mustDo(t, tr.keepRanges(t.Context(), 0, r.begun[0]))
	tr.ledger.Partial.Grew(0, plan.Range{Offset: step, Length: step}) // And what was behind is not there again.
	mustDo(t, tr.checkpointer().Checkpoint())
	next := tr.remains()
	mustDo(t, j.Replay(next.read))
	if want := (ledger.Extents{{Length: 2 * step}}); !slices.Equal(next.begun[0].durable, want) {
		t.Errorf("%v is durable, want %v", next.begun[0].durable, want)
	}
}
