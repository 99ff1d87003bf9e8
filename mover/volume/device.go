// SPDX-License-Identifier: Apache-2.0

package volume

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
)

// Device is a Block volume. It takes one object, from its first byte on; what
// lies behind the object is left as it is.
//
// While it is filled, its first sector carries a header in place of the object's
// first bytes, which come last, in one write of one sector: so a device is either
// untouched, or carries our header, or holds the whole object. Of an object that ends
// in that sector, zeroes are the rest of it.
type Device struct {
	file *os.File
	Size int64
	own  plan.Header
	// revealed means that this mover has written over its own header.
	revealed bool
}

// OpenDevice opens the device at path, which is to carry own, and changes nothing.
func OpenDevice(path string, own plan.Header) (*Device, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0) // #nosec G304 -- the volume.
	if err != nil {
		return nil, fault.NotWritable(err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("ask the device for its size: %w", err)
	}
	return &Device{file: f, Size: size, own: own}, nil
}

// Look reads what is on the device and changes nothing.
func (d *Device) Look() (Occupancy, error) {
	h, ok, err := d.readHeader()
	switch {
	case err != nil:
		return Occupancy{}, err
	case ok && h.Claim == d.own.Claim:
		return Occupancy{Journal: Ours}, nil
	case ok:
		return Occupancy{Journal: Anothers, Other: h.Claim}, nil
	}
	found, err := findSignature(d.file, d.Size)
	if err != nil || found == "" {
		return Occupancy{}, err
	}
	return Occupancy{Foreign: []string{found}}, nil
}

// zeroed reads a device as if nothing was on its first bytes.
type zeroed struct {
	under io.ReaderAt
	until int64
}

func (z *zeroed) ReadAt(b []byte, off int64) (int, error) {
	n, err := z.under.ReadAt(b, off)
	clear(b[:max(0, min(int64(n), z.until-off))])
	return n, err //nolint:wrapcheck // The caller names the device.
}

// TakeOver puts this mover's header on the device before anything else is written.
func (d *Device) TakeOver() error {
	err := d.writeSector(d.own.Sector()[:d.sector()])
	d.revealed = d.revealed && err != nil
	return err
}

// sector is how much of the device is its first sector: a device of less has no room for a header.
func (d *Device) sector() int64 { return min(plan.HeaderSize, d.Size) }

func (d *Device) writeSector(sector []byte) error {
	if _, err := d.file.WriteAt(sector, 0); err != nil {
		return fmt.Errorf("write the device: %w", err)
	}
	return d.Sync()
}

// readHeader reads the first sector of the device itself, not of memory.
func (d *Device) readHeader() (plan.Header, bool, error) {
	d.forget(plan.HeaderSize)
	sector := make([]byte, plan.HeaderSize)
	if d.Size < plan.HeaderSize {
		return plan.Header{}, false, nil
	}
	if err := readAt(d.file, sector, 0); err != nil {
		return plan.Header{}, false, err
	}
	h, ok := plan.ParseHeader(sector)
	return h, ok, nil
}

// Owned fails when the header on the device is not this mover's any more.
func (d *Device) Owned() error {
	if d.Size < plan.HeaderSize {
		return nil
	}
	h, ok, err := d.readHeader()
	switch {
	case err != nil:
		return err
	case !ok && d.revealed: // The device did not take it back.
		return fault.Fenced("the header is gone")
	case !ok:
		return fault.Fenced("the header is gone").Sharing()
	case h.Claim != d.own.Claim:
		return fault.Fenced("pod " + h.Pod + " of another claim").Sharing()
	case h != d.own:
		return fault.Fenced("pod " + h.Pod)
	}
	return nil
}

// forget drops the pages of the first n bytes that are in memory and on the device. A page
// that is covered in part stays, so n is rounded up to the largest pages there are.
func (d *Device) forget(n int64) {
	const page = 64 << 10
	_ = unix.Fadvise(int(d.file.Fd()), 0, (n+page-1)/page*page, unix.FADV_DONTNEED)
}

// TailHolds names what lies behind the object, as far as that can be told without reading all
// of a large device; it is empty when nothing does.
func (d *Device) TailHolds(size int64) (string, error) {
	const blank = 1 << 20
	found, err := findSignature(&zeroed{under: d.file, until: size}, d.Size)
	if err != nil || found != "" {
		return found, err
	}
	rest := make([]byte, min(blank, d.Size-size))
	if err := readAt(d.file, rest, size); err != nil {
		return "", err
	}
	if bytes.Count(rest, []byte{0}) < len(rest) {
		return "bytes behind the object", nil
	}
	return "", nil
}

// Content is the first bytes of the device itself, with those held back in their place. What was written, by whomever,
// may be in memory only: a sync that succeeds, and pages that are dropped after it, make the device itself answer.
func (d *Device) Content(size int64, held []byte) (*io.SectionReader, error) {
	if err := d.Sync(); err != nil {
		return nil, err
	}
	d.forget(size)
	return io.NewSectionReader(&overlaid{under: d.file, held: held}, 0, size), nil
}

// Sync makes durable what was written, by whomever.
func (d *Device) Sync() error {
	if err := fsync(d.file); err != nil {
		return fmt.Errorf("write the device: %w", err)
	}
	return nil
}

// Close gives the device back; what was written is durable only after a sync.
func (d *Device) Close() { _ = d.file.Close() }
