// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestADeviceIsLookedAtAgain before the first write, after some seconds, and after many bytes.
func TestADeviceIsLookedAtAgain(t *testing.T) {
	for name, due := range map[string]func(w *DeviceWriter) *DeviceWriter{
		"before the first write": func(w *DeviceWriter) *DeviceWriter { return w.Writer() },
		"after some seconds":     func(w *DeviceWriter) *DeviceWriter { w.due.Store(0); return w },
		"after many bytes":       func(w *DeviceWriter) *DeviceWriter { w.unseen.Store(ownedEvery); return w },
	} {
		for how, write := range map[string]func(w *DeviceWriter, b []byte) (int, error){
			"in order": (*DeviceWriter).Write,
			"anywhere": func(w *DeviceWriter, b []byte) (int, error) { return w.WriteAt(b, plan.HeaderSize) },
		} {
			t.Run(name+", "+how, func(t *testing.T) { lookedAtAgain(t, due, write) })
		}
	}
}

// blankDevice is the path of one: a file, as far as reading and writing go.
func blankDevice(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// takenOver is the device of a mover that has taken it over.
func takenOver(t *testing.T, path, pod string) *Device {
	t.Helper()
	d, err := OpenDevice(path, plan.Header{Claim: "claim", Pod: pod, Request: "r"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if err := d.TakeOver(); err != nil {
		t.Fatal(err)
	}
	return d
}

func lookedAtAgain(
	t *testing.T, due func(*DeviceWriter) *DeviceWriter, write func(*DeviceWriter, []byte) (int, error),
) {
	t.Helper()
	path := blankDevice(t)
	w := takenOver(t, path, "old").Writer()
	if _, err := write(w, bytes.Repeat([]byte{1}, 4096)); err != nil {
		t.Fatal(err)
	}
	takenOver(t, path, "new")
	if _, err := write(due(w), bytes.Repeat([]byte{2}, 4096)); fault.ReasonOf(err) != wire.Fenced {
		t.Errorf("a mover that was superseded writes on: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || bytes.IndexByte(got, 2) >= 0 {
		t.Errorf("its bytes are on the device (%v)", err)
	}
}

// TestARevealThatFailsWritesNothingMore: until the device says that it has failed, another mover may have completed it,
// and its claim be in use. Where nothing has arrived, the mover goes on.
func TestARevealThatFailsWritesNothingMore(t *testing.T) {
	first, users := bytes.Repeat([]byte{1}, plan.HeaderSize), bytes.Repeat([]byte{7}, plan.HeaderSize)
	for name, tt := range map[string]struct {
		meanwhile func(own *Device) []byte
		goesOn    bool
	}{
		"it has arrived":        {func(*Device) []byte { return first }, false},
		"another mover is done": {func(*Device) []byte { return users }, false},
		"it is lost":            {func(own *Device) []byte { return own.own.Sector() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			path := blankDevice(t)
			d := takenOver(t, path, "old")
			found := tt.meanwhile(d)
			failing(t, func() { setSector(t, path, found) })
			if err := d.Reveal(first); !errors.Is(err, unix.EIO) {
				t.Fatalf("the error is %v, want %v", err, unix.EIO)
			}
			if got := sectorOf(t, path); !bytes.Equal(got, found) {
				t.Errorf("the device begins with %q, want what was there", got)
			}
			_, err := d.Writer().Write(bytes.Repeat([]byte{2}, 4096))
			if (err == nil) != tt.goesOn || err != nil && fault.ReasonOf(err) != wire.Fenced {
				t.Errorf("the next round ends with %v, and goes on: %v", err, tt.goesOn)
			}
			if !tt.goesOn {
				return
			}
			setSector(t, path, users) // As by another claim: this mover has revealed nothing.
			if lost, ok := errors.AsType[*fault.Failure](d.Reveal(first)); !ok || !lost.Shared {
				t.Errorf("a header that went while the rest was written ends with %+v", lost)
			}
		})
	}
}

// TestWhatADeviceRefusesIsNotRead: before its content is read back, whatever is in memory is written.
func TestWhatADeviceRefusesIsNotRead(t *testing.T) {
	path := blankDevice(t)
	d := takenOver(t, path, "pod")
	failing(t, func() {})
	if _, err := d.Content(plan.HeaderSize, nil); !errors.Is(err, unix.EIO) {
		t.Errorf("the error is %v, want %v", err, unix.EIO)
	}
	found, err := d.Content(plan.HeaderSize, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(found); err != nil || !bytes.Equal(got, sectorOf(t, path)) {
		t.Errorf("the content is %q (%v)", got, err)
	}
}

// failing has the device fail the next sync, after a while in which something happens.
func failing(t *testing.T, meanwhile func()) {
	t.Helper()
	was := fsync
	t.Cleanup(func() { fsync = was })
	fsync = func(*os.File) error {
		fsync = was
		meanwhile()
		return unix.EIO
	}
}

func setSector(t *testing.T, path string, sector []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt(sector, 0)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func sectorOf(t *testing.T, path string) []byte {
	t.Helper()
	all, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return all[:plan.HeaderSize]
}
