// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// thinBench is a mover of a device that takes less than it says.
func thinBench(t *testing.T, endpoint string) (b *bench, grow func()) {
	t.Helper()
	b = blockBench(t, endpoint, 0)
	b.paths.Device, grow = thinDevice(t, 24, 40)
	b.options.Paths.Device = b.paths.Device
	return b, grow
}

// TestALostWriteToADeviceIsNotBelieved: somebody else, as a mover before, has written the object. All of it is in
// memory, and the device refuses some of it.
func TestALostWriteToADeviceIsNotBelieved(t *testing.T) {
	const size = 32 << 20
	s := startVersity(t)
	image := content(1, size)
	s.put(t, "disk", image)
	for name, tt := range map[string]struct {
		grows bool // Before it is written.
		told  bool // Somebody else was, and the device takes all since.
		stays bool // In memory, while the mover looks, too.
		want  wire.Reason
	}{
		"nothing was refused":    {grows: true},
		"nobody has synced":      {stays: true, want: wire.TransferFailed},
		"somebody else was told": {told: true, want: wire.VolumeNotEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			b, grow := thinBench(t, s.endpoint)
			if tt.grows {
				grow()
			}
			other, err := os.OpenFile(b.paths.Device, os.O_RDWR, 0) // While it is open, the kernel keeps what is in memory.
			mustDo(t, err)
			t.Cleanup(func() { _ = other.Close() })
			_, err = other.WriteAt(image, 0)
			mustDo(t, err)
			forget := inMemory(t, other, size)
			if tt.told {
				mustRefuseOnce(t, other.Sync)
			}
			if got, err := io.ReadAll(io.NewSectionReader(other, 0, size)); err != nil || !bytes.Equal(got, image) {
				t.Fatalf("the device was meant to look sound: %v", err)
			}
			if tt.told {
				grow()
			}
			if tt.stays {
				t.Cleanup(forget)
			} else {
				forget()
			}
			b.request.Attempt, b.request.Volume.Began = 2, true
			if r := b.run(); r.Reason != tt.want || (r.Class == wire.Done) != (tt.want == "") {
				t.Errorf("report is %+v, want the reason %q", r, tt.want)
			}
		})
	}
}

// TestADeviceThatRefusesWrites fails its mover, and when it takes them the next one fills it.
func TestADeviceThatRefusesWrites(t *testing.T) {
	for _, engine := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(engine, func(t *testing.T) {
			s := startVersity(t)
			image := content(1, 32<<20)
			s.put(t, "disk", image)
			b, grow := thinBench(t, s.endpoint)
			b.request.Transfer.Engine = engine
			r := b.run()
			if r.Reason != wire.TransferFailed || !r.Class.Again() {
				t.Errorf("report is %+v, want %s", r, wire.TransferFailed)
			}
			if told := r.Arrived; (told != nil) != (engine == wire.EngineNative) || told != nil && len(told.Ranges) > 0 {
				t.Errorf("of a device that has refused some, it tells what it holds: %+v", told)
			}
			grow()
			b.request.Attempt, b.request.Volume.Began, b.request.Volume.Arrived = 2, r.Began, r.Arrived
			b.mustBeDone(b.run())
			device, err := os.Open(b.paths.Device) // Nobody else has it open: what was in memory is gone.
			mustDo(t, err)
			got := make([]byte, len(image))
			_, err = io.ReadFull(device, got)
			if err := errors.Join(err, device.Close()); err != nil || !bytes.Equal(got, image) {
				t.Errorf("the device does not hold the object: %v", err)
			}
		})
	}
}
