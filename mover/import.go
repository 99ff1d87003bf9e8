// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// imported is what an Import came to.
type imported struct {
	unchanged int64 // Files that were there and are what their objects are.
	removed   int64
	owners    int64 // Files that have another owner than those that they replaced.
	unfenced  error // Why a mover that began before may still write.
}

// importing brings the files of a plan to a volume that is in use. It has no journal.
type importing struct {
	request  wire.Request
	log      *logger
	progress *progress
	status   *status
	listing  *listing
	fetcher  *fetcher
	rounds   *rounds

	plan     *plan.Plan
	prover   *proof.Prover
	ledger   *ledger.Ledger
	inUse    *volume.InUse
	imported *imported

	mu     sync.Mutex
	staged map[int]*volume.Staged // By entry: written, and not judged yet.
}

// importFiles brings what the source has and the volume has not. Until everything that could be in the way
// was looked for, nothing on the volume is changed.
func (m *mover) importFiles(ctx context.Context) (*ledger.Ledger, error) {
	unix.Umask(volume.Umask)
	inUse, err := volume.OpenInUse(m.options.Paths.Volume, m.request.Import.Run, m.request.Files)
	if err != nil {
		return nil, err
	}
	defer inUse.Close()
	if err := refuseUnfinished(inUse); err != nil {
		return nil, err
	}
	if err := inUse.TakeOver(m.request.Volume.ClaimUID); err != nil {
		return nil, fmt.Errorf("take the volume over from an earlier mover: %w", err)
	}
	if inUse.Unfenced != nil {
		m.log.printf("not fenced: %v", inUse.Unfenced)
	}
	var l *ledger.Ledger
	err = guarded(ctx, m.options.CheckpointEvery, inUse.Owned, func(ctx context.Context) (err error) {
		l, err = m.importTo(ctx, inUse)
		return err
	})
	lost := inUse.Owned()
	if err == nil || fault.ReasonOf(lost) == wire.Fenced { // It explains whatever has failed.
		err = lost
	}
	return l, err
}

// importTo begins with the list: what another mover has brought meanwhile must not be followed by an older one.
func (m *mover) importTo(ctx context.Context, inUse *volume.InUse) (*ledger.Ledger, error) {
	if err := m.listing.list(ctx, nil); err != nil {
		return nil, err
	}
	if err := m.listing.refuseEmptyImport(ctx); err != nil {
		return nil, err
	}
	m.imported = &imported{unfenced: inUse.Unfenced}
	defer func() { m.imported.owners = inUse.OtherOwners.Load() }()
	t := m.importingTo(inUse)
	t.progress.ledger.Store(t.ledger)
	return t.ledger, t.all(ctx)
}

func (m *mover) importingTo(inUse *volume.InUse) *importing {
	return &importing{
		request:  m.request,
		log:      m.log,
		progress: m.progress,
		status:   &m.status,
		listing:  m.listing,
		fetcher:  m.fetcher,
		rounds:   m.newRounds(),
		plan:     m.listing.plan,
		prover:   m.listing.prover,
		ledger:   ledger.New(m.listing.plan),
		inUse:    inUse,
		imported: m.imported,
		staged:   map[int]*volume.Staged{},
	}
}

func (t *importing) all(ctx context.Context) error {
	there, err := t.inspect()
	if err != nil {
		return err
	}
	if err := t.removeTemporaries(ctx); err != nil {
		return err
	}
	if err := t.compareThere(ctx, there); err != nil {
		return err
	}
	t.imported.unchanged, _ = t.ledger.Totals()
	if err := errors.Join(t.checkAccess(), t.room().CheckInUse()); err != nil {
		return err
	}
	if err := t.bring(ctx); err != nil {
		return err
	}
	return t.settle(ctx)
}

// at is the path of an entry from the root of the volume on.
func (t *importing) at(i int) string { return t.below(t.plan.Entries.At(i).Path) }

func (t *importing) below(name string) string {
	return path.Join(t.request.Volume.TargetPath, strings.TrimSuffix(name, "/"))
}

func (t *importing) target() string { return path.Join(".", t.request.Volume.TargetPath) }

// removeTemporaries removes what an attempt of this run has left that was killed. The first attempt looks
// only where it writes itself: its pod may be another one than the first.
func (t *importing) removeTemporaries(ctx context.Context) error {
	keep := func(name string) bool {
		_, planned := t.plan.Find(strings.TrimPrefix(name, t.request.Volume.TargetPath+"/"))
		return planned
	}
	if t.request.Volume.TargetPath == "" {
		keep = func(name string) bool { _, planned := t.plan.Find(name); return planned }
	}
	err := t.inUse.RemoveTemporaries(ctx, t.target(), !t.request.First(), keep)
	if t.request.First() {
		t.plan.EachDir(func(dir string) {
			err = errors.Join(err, t.inUse.RemoveTemporaries(ctx, t.below(dir), false, keep))
		})
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return t.explainVolume("what an earlier attempt left", err)
}

// compareThere verifies the files of a list that have the content of their objects, as the device holds
// them. What cannot be compared by content is fetched: a source may have changed and kept its sizes.
func (t *importing) compareThere(ctx context.Context, list []int) error {
	if len(list) == 0 {
		return nil
	}
	t.progress.enter(wire.Verifying)
	if err := t.inUse.Sync(); err != nil {
		return t.explainVolume(t.target(), err)
	}
	source.Parallel(source.StatWorkers, len(list), func(n int) {
		if ctx.Err() != nil {
			return
		}
		if by, file, err := t.compareInUse(ctx, list[n]); err == nil && by != proof.BySize {
			t.ledger.Verified(list[n], by, file, true)
		}
	})
	return context.Cause(ctx)
}

// compareInUse compares one file. Its identity is that of before it was read, so that one that changes
// meanwhile is another.
func (t *importing) compareInUse(ctx context.Context, i int) (proof.Method, plan.Identity, error) {
	e := t.plan.Entries.At(i)
	f, err := t.inUse.Open(t.at(i))
	if err != nil {
		return proof.Unverified, plan.Identity{}, err //nolint:wrapcheck // It is not shown: the file is fetched.
	}
	defer func() { _ = f.Close() }()
	var stat unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &stat)
	if err == nil && t.inUse.EachFile {
		err = f.Sync()
	}
	if err != nil || stat.Mode&unix.S_IFMT != unix.S_IFREG || stat.Size != e.Size {
		return proof.Unverified, plan.Identity{}, errors.Join(fault.ErrDiffers, err)
	}
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	by, err := t.prover.Compare(ctx, f, e, t.prover.ExpectContent)
	return by, plan.IdentityOf(&stat), err
}

// summary is for people; empty where nothing was imported.
func (i *imported) summary() string {
	if i == nil {
		return ""
	}
	text := fmt.Sprintf(", %d unchanged", i.unchanged)
	if i.removed > 0 {
		text += fmt.Sprintf("; removed %d files that the source does not have", i.removed)
	}
	if i.unfenced != nil {
		text += fmt.Sprintf("; movers of this claim that are cut off could not be fenced: %v", i.unfenced)
	}
	if i.owners > 0 {
		text += fmt.Sprintf(
			"; %d files have another owner or group now, as the mover may not give them away",
			i.owners,
		)
	}
	return text
}

// dayAgo is when a file must have been changed last to be nobody's who is at work.
func dayAgo() time.Time {
	return time.Now().Add(-24 * time.Hour) //nolint:forbidigo // Compared with the times of files.
}
