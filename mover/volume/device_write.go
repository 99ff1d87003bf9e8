// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Reveal replaces the header by the first bytes of the object, and reads them back.
func (d *Device) Reveal(first []byte) error {
	if err := d.Owned(); err != nil {
		return err
	}
	sector := make([]byte, d.sector()) // Nothing of the header stays behind an object that ends in it.
	copy(sector, first)
	d.revealed = true
	if err := d.writeSector(sector); err != nil {
		// A device that does not answer may do so for minutes, and another mover may have completed it by then. So the
		// header is not written back; whoever writes next looks for it.
		d.revealed = d.Owned() != nil
		return err
	}
	d.forget(int64(len(sector)))
	got := make([]byte, len(sector))
	if err := readAt(d.file, got, 0); err != nil {
		return err
	}
	if !bytes.Equal(got, sector) {
		return errors.Join(fault.ErrDiffers, d.TakeOver())
	}
	return nil
}

// A mover looks whether the device is still its own before it writes for the first time, and again after so many bytes,
// or so long: where S3 is slow, few bytes take longer than another mover needs to complete the device.
const (
	ownedEvery = 64 << 20
	ownedFor   = 2 * time.Second
)

// DeviceWriter writes an object to a device but for its first sector, which it holds back.
type DeviceWriter struct {
	*Device

	Held   []byte
	at     int64
	opened time.Time
	due    atomic.Int64 // How long after that it looks again whose device it is.
	unseen atomic.Int64 // Bytes since it looked.
	mu     sync.Mutex   // Of Held, while WriteAt and ReadAt are used.
}

// Writer writes an object from its first byte on.
func (d *Device) Writer() *DeviceWriter {
	return &DeviceWriter{Device: d, opened: time.Now()} //nolint:forbidigo // Only ever subtracted from.
}

// look fails when the device is not this mover's any more. It does not ask before every write.
func (w *DeviceWriter) look(n int) error {
	now := time.Since(w.opened)
	if w.unseen.Add(int64(n)) < ownedEvery && int64(now) < w.due.Load() {
		return nil
	}
	w.unseen.Store(0)
	w.due.Store(int64(now + ownedFor))
	return w.Owned()
}

func (w *DeviceWriter) Write(b []byte) (int, error) {
	n := min(len(b), plan.HeaderSize-len(w.Held))
	w.Held = append(w.Held, b[:n]...)
	w.at += int64(n)
	if len(b) == n {
		return n, nil
	}
	if err := w.look(len(b)); err != nil {
		return n, err
	}
	written, err := w.file.WriteAt(b[n:], w.at)
	w.at += int64(written)
	return n + written, err //nolint:wrapcheck // The caller names the volume.
}

// WriteAt writes at any offset of the object. The first sector is of one caller alone, who
// writes it in order.
func (w *DeviceWriter) WriteAt(b []byte, off int64) (int, error) {
	n := 0
	if off < plan.HeaderSize {
		n = min(len(b), plan.HeaderSize-int(off))
		w.mu.Lock()
		w.Held = append(w.Held[:off], b[:n]...)
		w.mu.Unlock()
	}
	if n == len(b) {
		return n, nil
	}
	if err := w.look(len(b)); err != nil {
		return n, err
	}
	written, err := w.file.WriteAt(b[n:], off+int64(n))
	if err != nil {
		return n + written, fmt.Errorf("write the device: %w", err)
	}
	return n + written, nil
}

// ReadAt reads what was written, the bytes held back included.
func (w *DeviceWriter) ReadAt(b []byte, off int64) (int, error) {
	w.mu.Lock()
	held := w.Held // Bytes of it that are there do not change.
	w.mu.Unlock()
	return (&overlaid{under: w.file, held: held}).ReadAt(b, off)
}

// overlaid reads what a device will hold once the bytes held back are written.
type overlaid struct {
	under io.ReaderAt
	held  []byte
}

func (o *overlaid) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(o.held)) {
		n = copy(b, o.held[off:])
	}
	if n == len(b) {
		return n, nil
	}
	more, err := o.under.ReadAt(b[n:], off+int64(n))
	return n + more, err //nolint:wrapcheck // The caller names the device.
}
