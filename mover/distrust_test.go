// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/minio/crc64nvme"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestRangesOfADeviceThatRefused: a range that was written and not synced is there when its bytes have the sum that was
// noted, unless the device has refused anything: then they may come from memory.
func TestRangesOfADeviceThatRefused(t *testing.T) {
	const size, at, block = int64(3 * plan.LargeSize), 8 << 20, 4 << 20
	object := string(content(5, int(size)))
	sum := crc64nvme.Checksum([]byte(object[at : at+block]))
	for name, tt := range map[string]struct {
		refuse func(t *transfer)
		fails  bool
		want   ledger.Extents
	}{
		"it refused nothing":  {func(*transfer) {}, false, ledger.Extents{{Offset: at, Length: block}}},
		"it refused before":   {func(t *transfer) { _ = t.journal.Distrust() }, false, nil},
		"it refuses the sync": {func(t *transfer) { _ = t.volume.Dir.Close() }, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
			mustDo(t, err)
			attempt := func() *transfer {
				tr := attemptOn(t, dir, &proof.Prover{Asker: silentS3{}, Plan: p})
				tr.checkpointEvery = time.Hour
				return tr
			}
			resumes := func(tr *transfer, want ledger.Extents, fails bool) {
				t.Helper()
				if err := tr.resume(t.Context()); (err != nil) != fails {
					t.Errorf("the resume ends with %v", err)
				}
				if got := tr.ledger.Partial.Ranges(0); !slices.Equal(got, want) {
					t.Errorf("the ranges are %v, want %v", got, want)
				}
				_, err := os.Lstat(filepath.Join(dir, "large"))
				if gone := errors.Is(err, fs.ErrNotExist); gone != (want == nil) {
					t.Errorf("the file is gone: %v (%v)", gone, err)
				}
			}
			first := attempt()
			write(t, filepath.Join(dir, "large"), object)
			mustDo(t, first.journal.Add([]ledger.Line{{
				Path: "large", ETag: p.TagText(p.Entries.At(0).ETag), Offset: at, Size: block, Sum: sum, Summed: true,
			}}))
			tt.refuse(first)
			resumes(first, tt.want, tt.fails)
			if tt.fails {
				write(t, filepath.Join(dir, "large"), object) // It is still in memory, and looks sound.
				resumes(attempt(), nil, false)
			}
		})
	}
}
