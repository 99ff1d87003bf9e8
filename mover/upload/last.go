// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// last is the manifest of a complete run. None has no entries.
type last struct {
	manifest.Manifest

	unknown bool // There is one, and it cannot be read. It may list whatever.
}

// settling is how much older than the scan a file's last change must be for its time to be believed:
// one that is changed twice within a tick of the clock shows one time for both.
const settling = 2 * time.Second

// unchanged tells that a file of the volume is the very one that the manifest lists.
func (l last) unchanged(e manifest.Entry, claim string) (manifest.Entry, bool) {
	before, ok := l.Find(e.Path)
	return before, ok && l.Claim == claim && before.Type == manifest.File && e.Inode != 0 && before.Inode == e.Inode &&
		before.Size == e.Size && before.ModTime == e.ModTime && before.ChangeTime == e.ChangeTime &&
		before.ModTime < l.Created.Add(-settling).UnixNano()
}

// errUnreadable means that there is a manifest that says nothing to us.
var errUnreadable = errors.New("the manifest cannot be used")

// readManifest returns the manifest under a key, and the entity tag of its object; false where there is none.
func (s *sender) readManifest(
	ctx context.Context,
	key string,
) (manifest.Manifest, string, bool, error) {
	m, info, found, err := s.manifestAt(ctx, key)
	return m, info.ETag, found, err
}

// manifestAt also returns what S3 says of the object.
func (s *sender) manifestAt(
	ctx context.Context,
	key string,
) (m manifest.Manifest, info minio.ObjectInfo, found bool, err error) {
	err = s.again(ctx, func(ctx context.Context) error {
		body, answer, _, err := s.core.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err //nolint:wrapcheck // It is classified above.
		}
		defer func() { _ = body.Close() }()
		info = answer
		watched := &watched{from: body}
		m, err = manifest.Read(watched)
		if err != nil && watched.err == nil { // The connection is not to blame.
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		return errors.Join(err, watched.err)
	})
	if isNoSuchKey(err) {
		return m, info, false, nil
	}
	if err != nil {
		return m, info, false, fmt.Errorf("read %s: %w", plan.Quote(key), err)
	}
	return m, info, true, nil
}

// ReadManifest reads the manifest of a complete export below a prefix; false where there is none.
func ReadManifest(ctx context.Context, r wire.Request, s Setup) (manifest.Manifest, bool, error) {
	return readBelow(ctx, r, s, plan.ListPrefix(r.Source))
}

// ReadManifestBelow is the manifest below another prefix; it has no run where there is none.
func ReadManifestBelow(ctx context.Context, r wire.Request, s Setup, prefix string) (manifest.Manifest, error) {
	m, _, err := readBelow(ctx, r, s, prefix)
	return m, err
}

func readBelow(ctx context.Context, r wire.Request, s Setup, prefix string) (manifest.Manifest, bool, error) {
	m, _, found, err := newSender(s, r).readManifest(ctx, prefix+manifest.Key)
	if errors.Is(err, errUnreadable) {
		return m, false, fault.New(wire.RequestRejected, "the export below prefix %s cannot be restored: %v",
			plan.Quote(prefix), err).Because(err)
	}
	return m, found, err
}

// errFound ends a listing.
var errFound = errors.New("found")

// IsBegun tells that an export below a prefix has left something of its own.
func IsBegun(ctx context.Context, r wire.Request, s Setup) (bool, error) {
	prefix := plan.ListPrefix(r.Source) + wire.JournalDir + "/"
	err := newSender(s, r).each(ctx, prefix, func(minio.ObjectInfo) error { return errFound })
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// lastRun is what an export knows of runs before it.
type lastRun struct {
	here   last   // Of the run before, below the same prefix.
	aside  bool   // It is not in its place any more: a run has begun to write since, this one or another.
	there  last   // Of the last complete run, below the prefix to copy from.
	inWay  bool   // In the place of our manifest is that of another run, or one of ours that says what is not so.
	tag    string // The entity tag of that manifest.
	isOurs bool   // This run is complete: here is its own manifest, and everything that it lists.
}

// lookBack reads the manifests of the runs before. One that cannot be used counts for nothing: every
// file is compared then, and nothing is deleted.
func (x *export) lookBack(ctx context.Context) error {
	if x.options.Key != "" {
		return nil
	}
	m, tag, found, err := x.readOld(ctx, x.home.key(manifest.Key))
	if err != nil {
		return err
	}
	x.last.tag = tag
	if found && m.Run == x.options.Run {
		if err := x.refuseOther(m.Claim); err != nil {
			return err
		}
		if x.last.isOurs, err = x.isComplete(ctx, m.Manifest); err != nil {
			return err
		}
	}
	x.last.inWay = found && !x.last.isOurs
	if !found {
		if m, _, x.last.aside, err = x.readOld(ctx, x.home.key(manifest.PreviousKey)); err != nil {
			return err
		}
	}
	x.last.here = m
	if x.options.CopyFrom == "" || x.last.isOurs {
		return nil
	}
	return x.lookThere(ctx)
}

// lookThere reads the manifest of the run to copy from. Without it, everything is sent.
func (x *export) lookThere(ctx context.Context) error {
	m, _, found, err := x.readOld(ctx, x.options.CopyFrom+manifest.Key)
	if err != nil && fault.ReasonOf(err) == "" && fault.Rejected(err, http.StatusForbidden) { // Or archived.
		x.Log("the manifest of the last run cannot be read: %v", err)
		m, found, err = last{}, false, nil
	}
	if err == nil && !found {
		x.Log("there is no complete run below %s to copy from; every file is sent", plan.Quote(x.options.CopyFrom))
	}
	x.last.there = m
	return err
}

func (x *export) readOld(ctx context.Context, key string) (last, string, bool, error) {
	m, tag, found, err := x.readManifest(ctx, key)
	if errors.Is(err, errUnreadable) {
		x.Log("%v; files are compared instead", err)
		return last{unknown: true}, tag, true, nil
	}
	return last{Manifest: m}, tag, found, err
}

// watched notes the error of a reader.
type watched struct {
	from interface{ Read(p []byte) (int, error) }
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && !isEnd(err) {
		w.err = err
	}
	return n, err //nolint:wrapcheck // It is handed through.
}
