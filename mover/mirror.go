// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"path"

	"github.com/s3populator/s3populator/mover/engine/mc"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// mirror fetches everything below the prefix with one `mc mirror`, the fastest
// way mc has, and verifies each file as soon as mc has renamed it into place,
// while its pages are still in memory.
func (t *transfer) mirror(ctx context.Context) error {
	return t.fetcher.mc.Mirror(ctx, mc.Mirror{
		Prefix:         t.plan.Base,
		Directory:      path.Join(t.volume.Root.Name(), t.volume.Target) + "/",
		Exclude:        t.exclusions(),
		BytesPerSecond: t.fetcher.bandwidth(t.mirrorShare()),
	}, mirrorWatch{t})
}

// mirrorWatch is told what a mirror does.
type mirrorWatch struct{ transfer *transfer }

// Find implements mc.Watch.
func (w mirrorWatch) Find(name string) (int, bool) { return w.transfer.plan.Find(name) }

// IsOurs implements mc.Watch.
func (w mirrorWatch) IsOurs(i int) bool {
	return w.transfer.ledger.IsVerified(i) || w.transfer.streaming[i]
}

// Contest implements mc.Watch.
func (w mirrorWatch) Contest(i int) { w.transfer.ledger.Contest(i) }

// InPlace implements mc.Watch.
func (w mirrorWatch) InPlace(i int) bool {
	_, err := w.transfer.volume.Stat(w.transfer.plan.Entries.At(i).Path)
	return err == nil
}

// Arrived implements mc.Watch.
func (w mirrorWatch) Arrived(ctx context.Context, i int) {
	w.transfer.fetcher.fetched.Add(w.transfer.plan.Entries.Size(i))
	w.transfer.check(ctx, i)
}

// Trouble implements mc.Watch.
func (w mirrorWatch) Trouble(err error) error { return w.transfer.rounds.trouble(err) }

// mirrorShare is the number of equal parts of the bandwidth of which mirror has one: the streams
// that run beside it have the others.
func (t *transfer) mirrorShare() int {
	return min(t.fetcher.streams(), len(t.streaming)) + 1
}

// streamShare is the number of equal parts of the bandwidth of which each stream has one.
func (t *transfer) streamShare(batches int) int {
	share := max(min(t.fetcher.streams(), batches), 1)
	if t.streaming != nil {
		share++ // For mirror.
	}
	return share
}

// exclusions keep mc from what its own listing may have and ours, made before, had not: keys
// that mc cleans into another path, out of the volume even, and at the volume's root the
// directories that are not ours to fill. None of them is ever planned, see checkPath.
func (t *transfer) exclusions() []string {
	patterns := []string{"..", "../*", "*/..", "*/../*", ".", "./*", "*/.", "*/./*", "/*", "*//*"}
	if t.volume.Target == "" {
		for _, dir := range append([]string{wire.JournalDir}, plan.StorageOwn...) {
			patterns = append(patterns, dir, dir+"/*")
		}
	}
	return patterns
}
