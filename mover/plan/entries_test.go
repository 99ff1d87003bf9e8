// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"crypto/md5"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// someEntries are of every kind, and so many that they take several chunks: paths that share much with the one before
// them, little and nothing, some of which begin another one; with keys of their own, and tags of any shape.
func someEntries(n int) []Entry {
	random := rand.New(rand.NewPCG(1, 2))
	var list []Entry
	for i := range n {
		path := fmt.Sprintf("data/part-%03d/file-%05d.parquet", i/100, i)
		switch i % 7 {
		case 1:
			path = strings.Repeat("a/b", 14)[:random.IntN(40)+1]
		case 2:
			path = fmt.Sprintf("%016x", random.Uint64())[:random.IntN(16)+1]
		case 3:
			path = list[random.IntN(len(list))].Path + "x"
		case 4:
			path = list[len(list)-1].Path // Another object with the same path.
		case 5:
			path = strings.TrimSuffix(list[random.IntN(len(list))].Path, "/") + "/"
		}
		e := Entry{Key: "base/" + path, Path: path, Size: int64(i) << 31}
		e.ETag = ETag{Sum: md5.Sum([]byte(path)), Parts: int32(i % 3)}
		if i%11 == 0 {
			e.ETag = ETag{Parts: OpaqueETag, text: int32(i)}
		}
		if i%13 == 0 {
			e.Key = "another key of " + path
		}
		list = append(list, e)
	}
	return list
}

// TestEntriesAreKeptAsTheyAre: what a plan says of an entry is what it was told.
func TestEntriesAreKeptAsTheyAre(t *testing.T) {
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize + 17} {
		want := someEntries(n)
		kept := EntriesOf("base/", slices.Values(want))
		if kept.Len() != n {
			t.Fatalf("%d entries are kept of %d", kept.Len(), n)
		}
		for i, e := range kept.All() {
			if e != want[i] || kept.At(i) != e {
				t.Fatalf("entry %d of %d is %+v, want %+v", i, n, e, want[i])
			}
			if kept.Size(i) != want[i].Size || kept.IsDir(i) != want[i].IsDir() {
				t.Fatalf("%s has size %d, directory: %v", e.Path, kept.Size(i), kept.IsDir(i))
			}
			if dir := e.Path[:strings.LastIndexByte(e.Path, '/')+1]; kept.directory(i) != dir {
				t.Fatalf("the directory of %s is %s", e.Path, kept.directory(i))
			}
		}
	}
}

// TestEntriesAreSorted as paths are that are compared as a whole, and what has the same path stays in its order.
func TestEntriesAreSorted(t *testing.T) {
	want := someEntries(2*chunkSize + 5)
	kept := EntriesOf("base/", slices.Values(want))
	slices.SortStableFunc(want, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	kept.sort()
	for i, e := range kept.All() {
		if e != want[i] {
			t.Fatalf("entry %d is %+v, want %+v", i, e, want[i])
		}
	}
	p := &Plan{Entries: kept}
	for _, e := range want {
		first := sort.Search(len(want), func(i int) bool { return want[i].Path >= e.Path })
		if i, ok := p.Find(e.Path); !ok || i != first {
			t.Fatalf("%s is found at %d (%v), want %d", e.Path, i, ok, first)
		}
		absent := e.Path + "\x00"
		if i, ok := p.Find(absent); ok || i > 0 && want[i-1].Path > absent || i < len(want) && want[i].Path < absent {
			t.Fatalf("%q would be at %d (%v)", absent, i, ok)
		}
	}
}

// TestCompareJoined compares all short texts in all ways to cut them.
func TestCompareJoined(t *testing.T) {
	texts := []string{""}
	for at := 0; len(texts[at]) < 4; at++ {
		texts = append(texts, texts[at]+"/", texts[at]+"a")
	}
	for _, x := range texts {
		for _, y := range texts {
			for i := range len(x) + 1 {
				for j := range len(y) + 1 {
					if got, want := compareJoined(x[:i], x[i:], y[:j], y[j:]), strings.Compare(x, y); got != want {
						t.Fatalf("%q+%q is %d to %q+%q, want %d", x[:i], x[i:], got, y[:j], y[j:], want)
					}
				}
			}
		}
	}
}

// BenchmarkPlan is what a listing of so many keys costs beside the network.
func BenchmarkPlan(b *testing.B) {
	const keys = 100_000
	listing := make([]string, keys)
	for i := range listing {
		listing[i] = fmt.Sprintf("data/2026/11/part-%05d/file-%07d.parquet", i/1000, i)
	}
	for b.Loop() {
		p, err := NewPlanner(wire.Request{Operation: wire.Populate, Source: wire.Source{Prefix: "data"}})
		if err != nil {
			b.Fatal(err)
		}
		for _, key := range listing {
			p.Add(key, 5, digestOfNothing)
		}
		made, err := p.Finish()
		if err != nil {
			b.Fatal(err)
		}
		for _, key := range listing {
			if _, ok := made.Find(key[len("data/"):]); !ok {
				b.Fatal("a key is not found")
			}
		}
		_ = made.Digest()
	}
}
