// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestOnlyAFileOfTheSizeIsCompared: where nothing but the size can be compared, the file of another
// size must not get as far as the comparison, which reads nothing.
func TestOnlyAFileOfTheSizeIsCompared(t *testing.T) {
	fifo := func(path string) error { return unix.Mkfifo(path, 0o600) }
	file := func(size int) func(string) error {
		return func(path string) error { return os.WriteFile(path, make([]byte, size), 0o600) }
	}
	for name, tt := range map[string]struct {
		place func(path string) error
		want  error
	}{
		"of the size": {file(10), nil},
		"shorter":     {file(9), fault.ErrDiffers},
		"longer":      {file(11), fault.ErrDiffers},
		"empty":       {file(0), fault.ErrDiffers},
		"a directory": {func(path string) error { return os.Mkdir(path, 0o700) }, fault.ErrDiffers},
		"a FIFO":      {fifo, fault.ErrDiffers},
		"not there":   {func(string) error { return nil }, errNotThere},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := tt.place(filepath.Join(dir, "a")); err != nil {
				t.Fatal(err)
			}
			v, err := volume.Open(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			if err := v.OpenTarget(); err != nil {
				t.Fatal(err)
			}
			f, _, err := (&transfer{volume: v}).openPlanned(plan.Entry{Path: "a", Key: "a", Size: 10})
			if f != nil {
				_ = f.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
		})
	}
}

// TestWhatOnlyTheSizeTellsIsListedOnceMore overwrites an object by another of its size, after mc has
// listed and before the volume is believed.
func TestWhatOnlyTheSizeTellsIsListedOnceMore(t *testing.T) {
	forceMirror(t)
	s := startVersity(t)
	want := small(t, s, 5)
	var listings atomic.Int64
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("list-type") && listings.Add(1) == 3 { // Ours, that of mc, and ours again.
			want["dir/o003"] = content(77, len(want["dir/o003"]))
			s.put(t, "dir/o003", want["dir/o003"])
		}
		return false
	})
	b := newBench(t, p.URL)
	b.request.Transfer.Engine, b.request.Transfer.Verify = wire.EngineMC, proof.VerifySize
	if r := b.run(); !r.Class.Again() || r.Reason != wire.SourceChanged {
		t.Fatalf("report is %+v", r)
	}
	b.request.Attempt = 2
	b.mustBeDone(b.run())
	b.mustHold(want)
}
