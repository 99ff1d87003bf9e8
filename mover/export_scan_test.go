// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// whileScanned is a context that runs a function whenever a scan is about to read names of a directory, or to see
// that there are no more.
type whileScanned func()

func (whileScanned) Deadline() (deadline time.Time, ok bool) { return deadline, false }
func (whileScanned) Done() <-chan struct{}                   { return nil }
func (whileScanned) Value(any) any                           { return nil }

func (f whileScanned) Err() error {
	callers := make([]uintptr, 8)
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
	for more := true; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); strings.HasSuffix(frame.Function, "upload.(*scanner).names") {
			f()
		}
	}
	return nil
}

// exportIn makes a run as the mover makes it.
func (b *bench) exportIn(ctx context.Context, s *s3server) (upload.Result, error) {
	b.t.Helper()
	opened, err := upload.OpenTree(b.paths.Volume, "")
	mustDo(b.t, err)
	defer opened.Close()
	return upload.Run(ctx, b.request, opened, upload.Setup{
		S3: s.client, Once: s.client, IdleTimeout: time.Minute, Tally: new(upload.Tally), Log: b.t.Logf,
	})
}

// ticking renames a file of the volume each time that a scan looks at a directory.
func (b *bench) ticking() context.Context {
	in := func(n int) string { return filepath.Join(b.paths.Volume, "tick-"+strconv.Itoa(n)) }
	mustDo(b.t, os.WriteFile(in(0), nil, 0o600))
	n := 0
	return whileScanned(func() {
		mustDo(b.t, os.Rename(in(n), in(n+1)))
		n++
	})
}

// What the run before has exported goes only once it is found under its new name.
func TestDirectoriesThatAreRenamedDuringTheScan(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	b.file("a", "a")
	b.file("b/x", "x")
	b.file("d/y", "y")
	b.settle()
	b.mustBeDone(b.run())
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	looks := 0
	got, err := b.exportIn(whileScanned(func() {
		looks++
		if looks == 2 { // All names of the exported directory are known, and no others.
			mustDo(t, os.Rename(in("b"), in("c")))
			mustDo(t, os.Rename(in("d"), in("e")))
		}
	}), s)
	mustDo(t, err)
	want := []string{".s3populator/manifest.json", "a", "c/x", "e/y"}
	if diff := cmp.Diff(want, s.keys(t, "runs/1/")); diff != "" || got.Deleted != 2 || got.Unsettled != 0 {
		t.Errorf("the result is %+v (-want +got):\n%s", got, diff)
	}
	populated, r := b.populate(nil)
	populated.mustBeDone(r)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, populated.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// Of a volume that never stands still nothing is known to be gone.
func TestDeleteExtraOfAVolumeThatNeverSettles(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("z", "z")
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "z")))
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	got, err := b.exportIn(b.ticking(), s)
	mustDo(t, err)
	if !s.has(t, "runs/1/z") || got.Deleted != 0 || got.Spared != 1 || got.Unsettled != 1 {
		t.Errorf("the result is %+v, of %v", got, s.keys(t, "runs/1/"))
	}
	var r wire.Report
	(&mover{request: b.request, exported: got}).reportExport(&r)
	if r.GoneFiles == 0 {
		t.Errorf("the report is %+v, of a volume that somebody writes to", r)
	}
	if text := exportSummary(b.request, got); !strings.Contains(text, "1 objects were not deleted for spec.deleteExtra") {
		t.Errorf("the message is %q", text)
	}
	if m := s.manifestOf(t, "runs/1/"); m.Run != "run-2" {
		t.Errorf("the manifest is of %q", m.Run)
	}
	b.request.Export.Run = "run-3" // Is not disturbed either, and then one is.
	_, err = b.exportIn(b.ticking(), s)
	mustDo(t, err)
	b.request.Export.Run = "run-4"
	b.file("z/below", "z") // Which no volume can have beside z.
	b.mustBeDone(b.run())
	if m := s.manifestOf(t, "runs/1/"); s.has(t, "runs/1/z") || !s.has(t, "runs/1/z/below") || len(m.Spared) > 0 {
		t.Errorf("an object of no file was forgotten: %v, the manifest spares %v", s.keys(t, "runs/1/"), m.Spared)
	}
}

// An object that must go before anything is sent keeps the only copy of a file that may have another name by now. When
// it is in the way of the next attempt, too, that one goes on: a volume that never settles is exported all the same.
func TestAVolumeThatNeverSettlesWithAnObjectInTheWay(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("z", "z")
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "z")))
	b.file("z/below", "z")
	b.request.Export.Run, b.request.Export.DeleteExtra = "run-2", true
	_, err := b.exportIn(b.ticking(), s)
	if fault.ReasonOf(err) != wire.FileChanged || s.object(t, "runs/1/z") != "z" ||
		!strings.Contains(err.Error(), `"runs/1/z"`) {
		t.Errorf("the error is %v, want %s", err, wire.FileChanged)
	}
	b.request.Attempt = 2
	got, err := b.exportIn(b.ticking(), s)
	mustDo(t, err)
	if got.Deleted != 1 || got.Unsettled == 0 || s.has(t, "runs/1/z") || s.object(t, "runs/1/z/below") != "z" {
		t.Errorf("the result is %+v, of %v", got, s.keys(t, "runs/1/"))
	}
}

// Who ends a run of shards looks once more where the plan is of a volume that did not settle.
func TestAPlanOfAVolumeThatNeverSettles(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	b.request.Export.Step, b.request.Export.Shards = wire.StepPlan, 8
	planned, err := b.exportIn(b.ticking(), s)
	mustDo(t, err)
	if planned.Plan == "" {
		t.Fatalf("the result is %+v, want a plan", planned)
	}
	b.file("late", "late")
	b.request.Export.Shards, b.request.Export.Plan = 0, planned.Plan
	for i := range planned.Shards {
		b.mustBeDone(b.shard(i))
	}
	b.mustBeDone(b.finishShards())
	if got := s.object(t, "runs/1/late"); got != "late" {
		t.Errorf("the object holds %q", got)
	}
}
