// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/crc64nvme"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// oneBuffer is the most that is read once a mover was told to end.
const oneBuffer = 256 << 10

var errToldToEnd = errors.New("the mover was told to end")

// toldToEnd is the context of a mover that was.
func toldToEnd(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errToldToEnd)
	return ctx
}

// counted counts what is read of a file, or written.
type counted struct {
	of    io.ReaderAt
	bytes int
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.of.ReadAt(p, at)
	c.bytes += n
	return n, err
}

func (c *counted) Write(p []byte) (int, error) {
	c.bytes += len(p)
	return len(p), nil
}

// interrupted is a transfer whose volume holds all bytes of a large file, of which the journal vouches for the first
// third and for a block, a small file that it says nothing of, and one that nobody has planned.
func interrupted(t *testing.T, tag string) *transfer {
	t.Helper()
	const size, block = 3 * plan.LargeSize, 4 << 20
	v, _ := journalVolume(t)
	object := content(5, size)
	for name, text := range map[string]string{"large": string(object), "small": "hello", "stray": "of nobody"} {
		write(t, filepath.Join(v.Dir.Name(), name), text)
	}
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size, etag: tag},
		listed{key: "small", size: 5, etag: hexMD5("hello")})
	mustDo(t, err)
	j, _ := read(t, v, "r")
	line := ledger.Line{Path: "large", ETag: p.TagText(p.Entries.At(0).ETag), Size: plan.LargeSize}
	noted := ledger.Line{
		Path: "large", ETag: line.ETag, Offset: 2 * plan.LargeSize, Size: block, Summed: true,
		Sum: crc64nvme.Checksum(object[2*plan.LargeSize:][:block]),
	}
	mustDo(t, j.Add([]ledger.Line{line, noted}))
	tr := transferOf(v, j, &proof.Prover{Asker: silentS3{}, Plan: p})
	tr.checkpointEvery = time.Hour
	return tr
}

// TestAResumeThatIsToldToEnd leaves everything as it was: what was not read was not found wrong.
func TestAResumeThatIsToldToEnd(t *testing.T) {
	tr := interrupted(t, "")
	dir := tr.volume.Dir.Name()
	before := snapshot(t, dir)
	was := ledger.Extents{{Length: 5}}
	tr.ledger.Partial.Keep(0, was)
	if err := tr.resume(toldToEnd(t)); !errors.Is(err, errToldToEnd) {
		t.Errorf("the resume ends with %v", err)
	}
	r := tr.remains()
	mustDo(t, tr.journal.Replay(r.read))
	if err := tr.keepRanges(toldToEnd(t), 0, r.begun[0]); !errors.Is(err, errToldToEnd) {
		t.Errorf("what keeps ranges ends with %v", err)
	}
	if snapshot(t, dir) != before {
		t.Error("the volume was changed")
	}
	if got := tr.ledger.Partial.Ranges(0); !slices.Equal(got, was) {
		t.Errorf("the ranges are %v, want %v", got, was)
	}
	f, err := os.Open(filepath.Join(dir, "large"))
	mustDo(t, err)
	defer func() { _ = f.Close() }()
	file := &counted{of: f}
	if x, err := soundRanges(toldToEnd(t), file, r.begun[0]); !errors.Is(err, errToldToEnd) || file.bytes > oneBuffer {
		t.Errorf("%v were found (%v), and %d bytes were read", x, err, file.bytes)
	}

	// Nobody tells it to end: there was something to find out, to give back and to remove.
	mustDo(t, tr.resume(t.Context()))
	want := ledger.Extents{{Length: plan.LargeSize}, {Offset: 2 * plan.LargeSize, Length: 4 << 20}}
	if got := tr.ledger.Partial.Ranges(0); !slices.Equal(got, want) || !tr.ledger.IsVerified(1) {
		t.Errorf("the ranges are %v, want %v, and the other file is verified: %v", got, want, tr.ledger.IsVerified(1))
	}
	if _, err := os.Stat(filepath.Join(dir, "stray")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what nobody planned is still there (%v)", err)
	}
}

// TestABeginningThatIsToldToEnd: a large object goes on where it was once the beginning is read back, which takes
// as long as there is of it. Until all is read it is worth what it was.
func TestABeginningThatIsToldToEnd(t *testing.T) {
	const there = 2 * plan.LargeSize
	tr := interrupted(t, "")
	tr.ledger.Partial.Reached(0, there)
	start, err := tr.headStart(toldToEnd(t), []int{0})
	if !errors.Is(err, errToldToEnd) || start.bytes != 0 || tr.ledger.Partial.Of(0) != there {
		t.Errorf("it goes on after %d bytes (%v), and %d are there", start.bytes, err, tr.ledger.Partial.Of(0))
	}
	var sum counted
	err = tr.readBack(toldToEnd(t), tr.plan.Entries.At(0), there, &sum)
	if !errors.Is(err, errToldToEnd) || sum.bytes > oneBuffer {
		t.Errorf("%d bytes were read back (%v)", sum.bytes, err)
	}
	if done, err := tr.cat(toldToEnd(t), []int{0}, 1); done != 0 || !errors.Is(err, errToldToEnd) {
		t.Errorf("%d objects were fetched (%v)", done, err)
	}
	if start, err := tr.headStart(t.Context(), []int{0}); err != nil || start.bytes != there {
		t.Errorf("it goes on after %d bytes (%v), want %d", start.bytes, err, there)
	}
}

// hastyS3 does not answer who is told to end.
type hastyS3 struct{ silentS3 }

func (hastyS3) Unchanged(ctx context.Context, _ *plan.Plan, _ plan.Entry) (minio.ObjectInfo, error) {
	return minio.ObjectInfo{}, ctx.Err()
}

// TestABeginningThatS3WasNotAskedAbout is kept as well. What S3 has nothing to compare with is not.
func TestABeginningThatS3WasNotAskedAbout(t *testing.T) {
	tr := interrupted(t, "no digest")
	tr.prover.Asker = hastyS3{}
	tr.ledger.Partial.Reached(0, plan.LargeSize)
	_, err := tr.headStart(toldToEnd(t), []int{0})
	if !errors.Is(err, errToldToEnd) || tr.ledger.Partial.Of(0) != plan.LargeSize {
		t.Errorf("%d bytes are there (%v), want %d", tr.ledger.Partial.Of(0), err, plan.LargeSize)
	}
	start, err := tr.headStart(t.Context(), []int{0})
	if err != nil || start.bytes != 0 || tr.ledger.Partial.Of(0) != 0 {
		t.Errorf("it goes on after %d bytes (%v), and %d are there", start.bytes, err, tr.ledger.Partial.Of(0))
	}
}

// TestABlockVolumeThatIsToldToEnd while it is read back: what was told of it stays told, also of ranges that were not
// read yet.
func TestABlockVolumeThatIsToldToEnd(t *testing.T) {
	const size = plan.LargeSize
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "disk", size: size})
	mustDo(t, err)
	path, image := filepath.Join(t.TempDir(), "device"), make([]byte, size)
	mustDo(t, os.WriteFile(path, image, 0o600))
	device, err := volume.OpenDevice(path, plan.Header{})
	mustDo(t, err)
	t.Cleanup(device.Close)
	there := wire.ArrivedRange{
		Offset: plan.HeaderSize, Length: size - plan.HeaderSize, Sum: crc64nvme.Checksum(image[plan.HeaderSize:]),
	}
	begin := func(ctx context.Context) (*deviceLoad, error) {
		d := &deviceLoad{
			plan: p, device: device, fetcher: &fetcher{}, progress: &progress{}, status: &status{},
			log: &logger{to: io.Discard},
		}
		d.request.Volume.Arrived = &wire.Arrived{Manifest: p.Digest(), Ranges: []wire.ArrivedRange{there}}
		err := d.begin(ctx, p.Entries.At(0), proof.Expectation{Method: proof.ByMD5})
		d.leave(ctx, err)
		return d, err
	}
	if d, err := begin(toldToEnd(t)); !errors.Is(err, errToldToEnd) || d.status.arrived != nil {
		t.Errorf("it tells of %+v (%v), want nothing", d.status.arrived, err)
	}
	d, err := begin(t.Context())
	if a := d.status.arrived; err != nil || a == nil || !slices.Equal(a.Ranges, []wire.ArrivedRange{there}) {
		t.Errorf("it tells of %+v (%v), want all", a, err)
	}
}
