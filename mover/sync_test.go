// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestTheJournalFollowsTheDevice: a line speaks only of what was synced before. Where the
// device refuses it, nothing is noted, and the files in question go, because read again
// they might come from memory and look sound.
func TestTheJournalFollowsTheDevice(t *testing.T) {
	for name, refused := range map[string]bool{"the device takes it": false, "the device refuses it": true} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			dir := v.Root.Name()
			p, err := planOf(
				t,
				wire.Request{Operation: wire.Populate},
				listed{key: "large", size: 3 * plan.LargeSize},
				listed{key: "small", size: 5},
			)
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "small"), "hello")
			j, _ := read(t, v, "source")
			progressed := false
			k := &ledger.Checkpointer{Volume: v, Ledger: ledger.New(p), Journal: j, Progressed: func() { progressed = true }}
			k.Ledger.Partial.Reached(0, 2*plan.LargeSize)
			k.Ledger.Verified(1, proof.ByMD5, fileOf(v, "small"), false)
			if refused {
				_ = v.Dir.Close() // A sync by it fails.
			}
			if err := k.Checkpoint(); (err != nil) != refused {
				t.Fatalf("the checkpoint ends with %v", err)
			}
			if progressed == refused {
				t.Errorf("progress is reported: %v", progressed)
			}
			_, noted := read(t, v, "source")
			_, err = os.Stat(filepath.Join(dir, "small"))
			gone := errors.Is(err, fs.ErrNotExist)
			switch {
			case refused && (len(noted) > 0 || !gone):
				t.Errorf("the journal notes %+v, and the file is gone: %v", noted, gone)
			case !refused && (len(noted) != 2 || gone):
				t.Errorf("the journal notes %+v, and the file is gone: %v", noted, gone)
			}
		})
	}
}

// TestWhatTheDeviceRefusedIsNotReadFromMemory: after a failed sync, files that the journal does
// not vouch for are fetched again, although they look sound. Files it does vouch for stay.
func TestWhatTheDeviceRefusedIsNotReadFromMemory(t *testing.T) {
	for name, tt := range map[string]struct {
		refuse func(t *transfer) error
		want   string // What is verified after the resume.
	}{
		"no sync failed": {func(*transfer) error { return nil }, "a b"},
		"a checkpoint failed": {func(t *transfer) error {
			t.ledger.Verified(0, proof.ByMD5, fileOf(t.volume, "a"), false)
			return t.checkpointer().Checkpoint()
		}, "b"},
		"the last sync failed": {func(t *transfer) error { return t.complete(testContext()) }, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := planOf(
				t,
				wire.Request{Operation: wire.Populate},
				listed{key: "a", size: 5, etag: hexMD5("hello")},
				listed{key: "b", size: 5, etag: hexMD5("world")},
			)
			mustDo(t, err)
			attempt := func() *transfer { return attemptOn(t, dir, &proof.Prover{Plan: p}) }
			first := attempt()
			write(t, dir+"/b", "world")
			first.ledger.Verified(1, proof.ByMD5, fileOf(first.volume, "b"), false)
			mustDo(t, first.checkpointer().Checkpoint())
			write(t, dir+"/a", "hello")
			_ = first.volume.Dir.Close() // A sync by it fails.
			if err := tt.refuse(first); (err == nil) != (tt.want == "a b") {
				t.Fatalf("the sync ends with %v", err)
			}
			write(t, dir+"/a", "hello") // It is still in memory, and looks sound.
			for range 2 {
				second := attempt()
				mustDo(t, second.resume(t.Context()))
				var got []string
				for i, e := range p.Entries.All() {
					if second.ledger.IsVerified(i) {
						got = append(got, e.Path)
					}
				}
				if strings.Join(got, " ") != tt.want {
					t.Errorf("verified are %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func hexMD5(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (t *transfer) checkpointer() *ledger.Checkpointer {
	return &ledger.Checkpointer{Volume: t.volume, Ledger: t.ledger, Journal: t.journal, Progressed: func() {}}
}

// TestProgressIsWhatNoAttemptHadBefore: an attempt that only reaches the point of an earlier
// one counts, or a mover that is always killed there would be started for ever.
func TestProgressIsWhatNoAttemptHadBefore(t *testing.T) {
	for name, tt := range map[string]struct {
		before, arrived int64
		want            bool
	}{
		"the first attempt":             {0, 2 * plan.LargeSize, true},
		"further than the one before":   {plan.LargeSize, 2 * plan.LargeSize, true},
		"as far as the one before":      {2 * plan.LargeSize, 2 * plan.LargeSize, false},
		"not as far as the one before":  {2 * plan.LargeSize, plan.LargeSize, false},
		"too little to be worth a line": {0, plan.LargeSize - 1, false},
		"nothing":                       {plan.LargeSize, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: 3 * plan.LargeSize})
			if err != nil {
				t.Fatal(err)
			}
			j, _ := read(t, v, "source")
			progressed := false
			k := &ledger.Checkpointer{Volume: v, Ledger: ledger.New(p), Journal: j, Progressed: func() { progressed = true }}
			k.Ledger.Partial.Inherit(map[int]int64{0: tt.before})
			k.Ledger.Partial.Reached(0, tt.arrived)
			if err := k.Checkpoint(); err != nil || progressed != tt.want {
				t.Errorf("progress is %v (%v), want %v", progressed, err, tt.want)
			}
		})
	}
}

func TestAnAttemptThatProgressedDoesNotCount(t *testing.T) {
	for reason, want := range map[wire.Reason][2]wire.Class{
		wire.TransferFailed:      {wire.Retry, wire.RetryUncounted},
		wire.Interrupted:         {wire.Retry, wire.RetryUncounted},
		wire.EndpointNotResolved: {wire.Retry, wire.RetryUncounted},
		wire.Throttled:           {wire.RetryUncounted, wire.RetryUncounted},
		wire.AccessDenied:        {wire.User, wire.User},
	} {
		for i, progressed := range []bool{false, true} {
			m := newMover(wire.Request{}, Options{Log: io.Discard})
			m.status.progressed.Store(progressed)
			if r := m.report(nil, fault.New(reason, "x")); r.Class != want[i] || r.Progressed != progressed {
				t.Errorf("%s after progress %v is reported as %+v, want %s", reason, progressed, r, want[i])
			}
		}
	}
}

// fileOf is the file under a path.
func fileOf(v *volume.Volume, name string) plan.Identity {
	s, _ := v.Stat(name) // A file that is not there is none.
	return plan.IdentityOf(&s)
}

// TestAFileThatTakesAnothersPlace: what is verified is a file, not its path.
func TestAFileThatTakesAnothersPlace(t *testing.T) {
	for name, tt := range map[string]struct {
		content string
		policy  bool // spec.transfer.verify: Size.
		want    wire.Reason
	}{
		"other bytes of the same length":       {"hellO", false, wire.VerificationFailed},
		"the same bytes":                       {"hello", false, ""},
		"other bytes, and sizes are enough":    {"hellO", true, ""},
		"another length, and sizes are enough": {"hell", true, wire.VerificationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 5, etag: hexMD5("hello")})
			mustDo(t, err)
			v, err := volume.Open(dir, "")
			mustDo(t, err)
			t.Cleanup(v.Close)
			j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"})
			mustDo(t, err)
			t.Cleanup(j.Close)
			mustDo(t, v.MakeTarget())
			tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p, SizeOnly: tt.policy})
			tr.plan.Mirrorable = false // No second listing.
			write(t, dir+"/a", "hello")
			tr.check(t.Context(), 0)
			write(t, dir+"/b", tt.content)
			mustDo(t, os.Rename(dir+"/b", dir+"/a"))
			if err := tr.finish(t.Context()); fault.ReasonOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("the attempt ends with %v, want %q", err, tt.want)
			}
		})
	}
}

// TestAFileWithoutItsName: on a file system that is blind to case, two keys have one file.
func TestAFileWithoutItsName(t *testing.T) {
	v, _ := journalVolume(t)
	dir := v.Root.Name()
	p, err := planOf(t, wire.Request{Operation: wire.Populate},
		listed{key: "A", size: 5, etag: hexMD5("hello")}, listed{key: "a", size: 5, etag: hexMD5("world")},
	)
	mustDo(t, err)
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
	tr.plan.Mirrorable = false // No second listing.
	write(t, dir+"/A", "world")
	for i := range p.Entries.Len() {
		tr.ledger.Verified(i, proof.ByMD5, fileOf(v, "A"), true)
	}
	err = tr.finish(t.Context())
	if fault.ReasonOf(err) != wire.VerificationFailed || !strings.Contains(err.Error(), `"a" is not on the volume`) {
		t.Errorf("the attempt ends with %v", err)
	}
}

// TestInodesThatDoNotLast: the volume gives a file another number with each look, and nothing else
// has changed.
func TestInodesThatDoNotLast(t *testing.T) {
	for name, tt := range map[string]struct {
		etag    string
		content string
		move    time.Duration // By which its time of modification changes.
		want    wire.Reason
	}{
		"the same bytes":                   {etag: hexMD5("hello"), content: "hello"},
		"other bytes, under the same time": {etag: hexMD5("hello"), content: "hellO", want: wire.VerificationFailed},
		"nothing to compare":               {etag: "opaque", content: "hello"},
		"nothing to compare, and another time": {
			etag: "opaque", content: "hello", move: time.Second, want: wire.VerificationFailed,
		},
		"the same bytes, and another time": {etag: hexMD5("hello"), content: "hello", move: time.Second},
		"other bytes, and another time as well": {
			etag: hexMD5("hello"), content: "hellO", move: time.Second, want: wire.VerificationFailed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			dir := v.Root.Name()
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 5, etag: tt.etag})
			mustDo(t, err)
			j, _ := read(t, v, "r")
			tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
			tr.plan.Mirrorable = false // No second listing.
			write(t, dir+"/a", tt.content)
			file := fileOf(v, "a")
			file.Inode++
			file.ModTime += int64(tt.move)
			tr.ledger.Verified(0, proof.BySize, file, true)
			if err := tr.finish(t.Context()); fault.ReasonOf(err) != tt.want || (err == nil) != (tt.want == "") {
				t.Errorf("the attempt ends with %v, want %q", err, tt.want)
			}
		})
	}
}

// silentS3 says of every object that it is the one that was listed, and no more.
type silentS3 struct{}

func (silentS3) Head(context.Context, string, minio.StatObjectOptions) (minio.ObjectInfo, error) {
	return minio.ObjectInfo{}, nil
}

func (silentS3) Unchanged(context.Context, *plan.Plan, plan.Entry) (minio.ObjectInfo, error) {
	return minio.ObjectInfo{}, nil
}
