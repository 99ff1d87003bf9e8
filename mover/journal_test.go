// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

func journalVolume(t *testing.T) (*volume.Volume, string) {
	t.Helper()
	dir := t.TempDir()
	v, err := volume.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.MakeTarget(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v, filepath.Join(dir, ledger.JournalName)
}

// read opens the journal and returns what it believes.
func read(t *testing.T, v *volume.Volume, identity string) (*ledger.Journal, []ledger.Line) {
	t.Helper()
	var got []ledger.Line
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: identity})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Replay(func(l ledger.Line) { got = append(got, l) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j, got
}

// noted is what a journal says of a large file. What S3 has sent of it may be on its way yet.
func noted(journal, path string) (x ledger.Extents) {
	text, _ := os.ReadFile(journal)
	for line := range bytes.Lines(text) {
		l, ok := ledger.ParseJournalled(bytes.TrimSuffix(line, []byte("\n")))
		if ok && l.Path == path && l.By == plan.Unverified {
			x = x.With(plan.Range{Offset: l.Offset, Length: l.Size})
		}
	}
	return x
}

func TestJournal(t *testing.T) {
	lines := []ledger.Line{
		{Path: "plain", Size: 1, ModTime: 1700000000123456789, By: proof.ByMD5, ETag: emptyMD5},
		{Path: "tab\tand\nnewline \"quoted\" \\ ü \xff", Size: 1 << 40, ModTime: -1, By: proof.BySize, ETag: "opaque \t tag"},
		{Path: "last", Size: 0, ModTime: 0, By: proof.ByParts, ETag: emptyMD5 + "-3"},
	}
	intact := "intact"
	for name, tt := range map[string]struct {
		damage   func(text string) string
		identity string
		want     []ledger.Line
	}{
		"what was added is read again":            {nil, intact, lines},
		"a torn last line is dropped":             {func(s string) string { return s[:len(s)-5] }, intact, lines[:2]},
		"a last line without its newline is torn": {func(s string) string { return s[:len(s)-1] }, intact, lines[:2]},
		"a damaged line is dropped alone": {
			func(s string) string { return strings.Replace(s, "plain", "pla1n", 1) }, intact, lines[1:],
		},
		"zeroes after a crash are dropped": {
			func(s string) string { return s + strings.Repeat("\x00", 4096) + "\n" }, intact, lines,
		},
		"another source makes it worthless":         {nil, "other", nil},
		"a torn header makes it worthless":          {func(s string) string { return s[:10] }, intact, nil},
		"an empty file is a new journal":            {func(string) string { return "" }, intact, nil},
		"a file of something else is a new journal": {func(string) string { return "hello\nworld\n" }, intact, nil},
		"a line with a method that does not exist fails": {
			func(s string) string { return s + "00000000\t1\t1\t99\t\"e\"\t\"p\"\n" }, intact, lines,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, file := journalVolume(t)
			j, _ := read(t, v, intact)
			if err := j.Add(lines[:1]); err != nil {
				t.Fatal(err)
			}
			if err := j.Add(lines[1:]); err != nil {
				t.Fatal(err)
			}
			if tt.damage != nil {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				write(t, file, tt.damage(string(text)))
			}
			again, got := read(t, v, tt.identity)
			compare := cmp.AllowUnexported(ledger.Line{})
			if diff := cmp.Diff(tt.want, got, compare); diff != "" {
				t.Fatalf("lines (-want +got):\n%s", diff)
			}
			// Whatever happened before, new lines are sound.
			more := ledger.Line{Path: "more", Size: 7, By: proof.ByMD5, ETag: "e"}
			if err := again.Add([]ledger.Line{more}); err != nil {
				t.Fatal(err)
			}
			_, got = read(t, v, tt.identity)
			if diff := cmp.Diff(append(slices.Clip(tt.want), more), got, compare); diff != "" {
				t.Errorf("after one more line (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJournalIsNotWrittenThroughALink(t *testing.T) {
	v, file := journalVolume(t)
	outside := filepath.Join(t.TempDir(), "victim")
	write(t, outside, "precious")
	read(t, v, "id")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, file); err != nil {
		t.Fatal(err)
	}
	j, _ := read(t, v, "id")
	if err := j.Add([]ledger.Line{{Path: "a"}}); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(outside); string(b) != "precious" {
		t.Errorf("the file outside is now %q", b)
	}
}

// TestASmallFileHasNoBeginning: a line that says so contradicts the plan. A file that it made
// stay with its full size would never be fetched: mc decides by size.
func TestASmallFileHasNoBeginning(t *testing.T) {
	v, _ := journalVolume(t)
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 10, etag: hexMD5("0123456789")})
	mustDo(t, err)
	j, _ := read(t, v, "r")
	mustDo(t, j.Add([]ledger.Line{{Path: "a", Size: 5, By: plan.Unverified, ETag: hexMD5("0123456789")}}))
	write(t, filepath.Join(v.Root.Name(), "a"), "01234.....")
	tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
	mustDo(t, tr.resume(t.Context()))
	if _, exists := tr.ledger.Present(0); exists {
		t.Error("the beginning of a small file is kept")
	}
	if _, err := os.Lstat(filepath.Join(v.Root.Name(), "a")); err == nil {
		t.Error("a file that nobody vouches for is still there")
	}
}

// TestALineWithoutAnEntityTag, of a server that lists none: the object may be another one by now,
// and what S3 says of its content decides.
func TestALineWithoutAnEntityTag(t *testing.T) {
	for name, tt := range map[string]struct {
		holds string
		want  bool
	}{"the object is the same": {"hello", true}, "it was overwritten": {"world", false}} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 5, etag: `""`})
			mustDo(t, err)
			write(t, filepath.Join(v.Root.Name(), "a"), "hello")
			stat, err := v.Stat("a")
			mustDo(t, err)
			j, _ := read(t, v, "r")
			mustDo(t, j.Add([]ledger.Line{{Path: "a", Size: 5, ModTime: stat.Mtim.Nano(), By: proof.ByMD5}}))
			tr := transferOf(v, j, &proof.Prover{Asker: summed{content: tt.holds}, Plan: p})
			tr.checkpointEvery = time.Hour
			mustDo(t, tr.resume(t.Context()))
			if got := tr.ledger.IsVerified(0); got != tt.want {
				t.Errorf("the file counts as verified: %v, want %v", got, tt.want)
			}
		})
	}
}

// summed says of every object what a checksum of its content is.
type summed struct {
	silentS3

	content string
}

func (s summed) Unchanged(context.Context, *plan.Plan, plan.Entry) (minio.ObjectInfo, error) {
	sum := sha256.Sum256([]byte(s.content))
	return minio.ObjectInfo{ChecksumSHA256: base64.StdEncoding.EncodeToString(sum[:])}, nil
}
