// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// Every combination of what may be known of a file is decided, by promises that are independent of
// the rules' order.
func TestDecide(t *testing.T) {
	t.Parallel()
	bit := func(n, i int) bool { return n>>i&1 == 1 }
	for n := range 1 << 7 {
		f := facts{exists: bit(n, 0), sameSize: bit(n, 1), unchanged: bit(n, 2), sameObject: bit(n, 3), copyable: bit(n, 4)}
		f.ours = bit(n, 6)
		if !f.exists && (f.ours || f.sameSize || f.sameObject) {
			continue // Impossible.
		}
		for _, on := range []string{wire.SkipIdentical, "", wire.Overwrite, wire.Fail} {
			p := policy{onExisting: on, resumed: bit(n, 5)}
			got := decide(f, p)
			identical := f.exists && f.sameSize && f.unchanged && f.sameObject
			overwrite := on == wire.Overwrite && !p.resumed
			for _, promise := range []struct {
				name string
				kept bool
			}{
				{
					"refused is exactly what exists before a run that must not find anything",
					(got == refuse) == (on == wire.Fail && f.exists && !p.resumed && !f.ours),
				},
				{
					"nothing is left unread but what both manifest and listing know",
					got != leave || identical && on != wire.Overwrite,
				},
				{"overwriting sends everything", !overwrite || got == send},
				{"nothing is sent that is known to be there", got != send || !identical || overwrite},
				{"only what exists with its size is compared", got != compare || f.exists && f.sameSize},
				{"only what the last run has is copied", got != copyLast || f.copyable && on != wire.Overwrite},
				{"what need not be sent is not", got != send || overwrite || !f.copyable || on == wire.Overwrite},
			} {
				if !promise.kept {
					t.Errorf("%s: %+v under %+v is %d", promise.name, f, p, got)
				}
			}
		}
	}
}

// One whose time may hide a change is not trusted.
func TestAFileIsUnchangedByInodeSizeAndTime(t *testing.T) {
	t.Parallel()
	created := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	old := created.Add(-time.Hour).UnixNano()
	entry := manifest.Entry{Path: "a", Type: manifest.File, Size: 3, Inode: 7, ModTime: old, ETag: "e"}
	for name, test := range map[string]struct {
		change func(e *manifest.Entry, m *manifest.Manifest)
		want   bool
	}{
		"as it was":     {func(*manifest.Entry, *manifest.Manifest) {}, true},
		"another inode": {func(e *manifest.Entry, _ *manifest.Manifest) { e.Inode++ }, false},
		"another size":  {func(e *manifest.Entry, _ *manifest.Manifest) { e.Size++ }, false},
		"another time":  {func(e *manifest.Entry, _ *manifest.Manifest) { e.ModTime++ }, false},
		"the same of a copy": {func(e *manifest.Entry, m *manifest.Manifest) {
			e.ChangeTime, m.Entries[0].ChangeTime = 1, 1
		}, true},
		"another of a copy": {func(e *manifest.Entry, m *manifest.Manifest) {
			e.ChangeTime, m.Entries[0].ChangeTime = 2, 1
		}, false},
		"a copy, and it was none":    {func(e *manifest.Entry, _ *manifest.Manifest) { e.ChangeTime = 1 }, false},
		"it was a copy, and is none": {func(_ *manifest.Entry, m *manifest.Manifest) { m.Entries[0].ChangeTime = 1 }, false},
		"another path":               {func(e *manifest.Entry, _ *manifest.Manifest) { e.Path = "b" }, false},
		"another claim":              {func(_ *manifest.Entry, m *manifest.Manifest) { m.Claim = "other" }, false},
		"it changed, twice":          {func(_ *manifest.Entry, m *manifest.Manifest) { m.Entries[0].Inode = 0 }, false},
		"it was a link": {
			func(_ *manifest.Entry, m *manifest.Manifest) { m.Entries[0].Type = manifest.Link }, false,
		},
		"it changed right before the scan": {func(e *manifest.Entry, m *manifest.Manifest) {
			e.ModTime = created.Add(-time.Second).UnixNano()
			m.Entries[0].ModTime = e.ModTime
		}, false},
	} {
		m := manifest.Manifest{Header: manifest.Header{Claim: "c", Created: created}, Entries: []manifest.Entry{entry}}
		e := entry
		test.change(&e, &m)
		if _, got := (last{Manifest: m}).unchanged(e, "c"); got != test.want {
			t.Errorf("%s: unchanged is %v, want %v", name, got, test.want)
		}
	}
}

// A snapshot stands still before it is scanned, and another copy may have another file under the same numbers.
func TestWhatIsNotedOfACopy(t *testing.T) {
	t.Parallel()
	frozen := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	x := &export{begin: frozen.Add(time.Hour)}
	live := manifest.Entry{ChangeTime: 5}
	x.lasting(&live)
	if live.ChangeTime != 0 || !x.contentTime().Equal(x.begin) {
		t.Errorf("of a volume in use %+v is noted, as of %s", live, x.contentTime())
	}
	x.request.Volume.Temporary, x.request.Volume.AsOf = "t-1", frozen
	copied := manifest.Entry{ChangeTime: 5}
	x.lasting(&copied)
	if copied.ChangeTime != 5 || x.contentTime().After(frozen.Add(-skew)) {
		t.Errorf("of a copy %+v is noted, as of %s", copied, x.contentTime())
	}
	one := note{Key: "k", Inode: 7, Size: 1, ModTime: 2, Volume: "t-1"}
	other := one
	if !one.sameFile(other) {
		t.Error("a part of an upload is not known again")
	}
	if other.Volume = "t-2"; one.sameFile(other) {
		t.Error("parts of a file are taken for those of a file on another copy")
	}
}

func TestPartSize(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for size, want := range map[int64]int64{
		16 * mib:          16 * mib,
		160_000 * mib:     16 * mib,
		160_000*mib + 1:   17 * mib,
		5 << 40:           525 * mib, // The largest object of S3.
		10_000*17*mib + 1: 18 * mib,
	} {
		got := partSize(size)
		if got != want || (size+got-1)/got > mostParts {
			t.Errorf("partSize(%d) is %d, want %d", size, got, want)
		}
	}
}
