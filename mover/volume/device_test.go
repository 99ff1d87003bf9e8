// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

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

func lookedAtAgain(
	t *testing.T, due func(*DeviceWriter) *DeviceWriter, write func(*DeviceWriter, []byte) (int, error),
) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	open := func(pod string) *Device {
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
	w := open("old").Writer()
	if _, err := write(w, bytes.Repeat([]byte{1}, 4096)); err != nil {
		t.Fatal(err)
	}
	open("new")
	if _, err := write(due(w), bytes.Repeat([]byte{2}, 4096)); fault.ReasonOf(err) != wire.Fenced {
		t.Errorf("a mover that was superseded writes on: %v", err)
	}
	got, err := os.ReadFile(path)
	if err != nil || bytes.IndexByte(got, 2) >= 0 {
		t.Errorf("its bytes are on the device (%v)", err)
	}
}
