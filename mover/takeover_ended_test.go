// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestASharedVolumeIsToldWhateverEndsItsMover: what guards a volume may not have looked since another claim took it,
// and who does not know of that claim removes the volume with this one.
func TestASharedVolumeIsToldWhateverEndsItsMover(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	lists := func(r *http.Request) bool { return r.URL.Query().Has("list-type") }
	fetches := func(r *http.Request) bool { return r.Method == http.MethodGet && keyOf(r) == "a" }
	denied := func(w http.ResponseWriter, _ *http.Request, _ context.CancelCauseFunc) {
		s3Error(w, http.StatusForbidden, "AccessDenied")
	}
	stopped := func(_ http.ResponseWriter, r *http.Request, stop context.CancelCauseFunc) {
		stop(fault.ErrTerminated)
		<-r.Context().Done()
	}
	for name, end := range map[string]struct {
		when  func(r *http.Request) bool
		with  func(w http.ResponseWriter, r *http.Request, stop context.CancelCauseFunc)
		alone wire.Reason
	}{
		"when it may not list":           {lists, denied, wire.AccessDenied},
		"when it may not read an object": {fetches, denied, wire.AccessDenied},
		"when it is stopped":             {lists, stopped, wire.Interrupted},
	} {
		for whose, lose := range map[string]func(t *testing.T, dir string){
			"its own":       nil,
			"another claim": func(t *testing.T, dir string) { journalOf(t, dir, "another-claim") },
			"nobody": func(t *testing.T, dir string) {
				mustDo(t, os.RemoveAll(filepath.Join(dir, wire.JournalDir)))
			},
		} {
			t.Run(name+", and the journal is of "+whose, func(t *testing.T) {
				ctx, stop := context.WithCancelCause(t.Context())
				defer stop(nil)
				var b *bench
				p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
					if !end.when(r) {
						return false
					}
					if lose != nil {
						lose(t, b.paths.Volume)
					}
					end.with(w, r, stop)
					return true
				})
				b = newBench(t, p.URL)
				b.options.CheckpointEvery = time.Hour // The guard never looks.
				want := wire.Fenced
				if lose == nil {
					want = end.alone
				}
				if r := b.runContext(ctx); r.Reason != want || !r.Began || r.Shared != (lose != nil) {
					t.Errorf("the report is %+v, want %s of a mover that began, and another claim that has the volume: %v",
						r, want, lose != nil)
				}
			})
		}
	}
}

// TestASharedDeviceIsToldWhateverEndsItsMover is the same of a device.
func TestASharedDeviceIsToldWhateverEndsItsMover(t *testing.T) {
	s := startVersity(t)
	s.put(t, "disk", content(1, 3<<20))
	for _, claim := range []string{testClaim, "another"} {
		var b *bench
		p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) != "disk" {
				return false
			}
			writeAt(t, b.paths.Device, plan.Header{Claim: claim, Pod: "new-pod", Request: "r"}.Line(), 0)
			return s3Error(w, http.StatusForbidden, "AccessDenied")
		})
		b = blockBench(t, p.URL, 4<<20)
		shared := claim != testClaim // Else each engine has its own reason.
		if r := b.run(); r.Class == wire.Done || (r.Reason == wire.Fenced) != shared || !r.Began || r.Shared != shared {
			t.Errorf("with the header of %s the report is %+v, want that another claim has the device: %v", claim, r, shared)
		}
	}
}

// TestAJournalThatItsMoverRemovesIsNoSign of another claim, where the mover fails after that.
func TestAJournalThatItsMoverRemovesIsNoSign(t *testing.T) {
	testenv.Root(t)
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	b := newBench(t, s.endpoint)
	b.adopt()
	held := filepath.Join(b.paths.Volume, wire.JournalDir, "held")
	mustDo(t, os.Mkdir(held, 0o755))
	mount(t, "tmpfs", "tmpfs", held) // Nobody can remove it.
	if r := b.run(); r.Class == wire.Done || r.Reason == wire.Fenced || !r.Began || r.Shared {
		t.Errorf("the report is %+v, want one of a mover whose volume nobody else has", r)
	}
	if _, err := os.Lstat(filepath.Join(b.paths.Volume, ledger.JournalName)); err == nil {
		t.Fatal("the journal is still there, so nothing was shown")
	}
}
