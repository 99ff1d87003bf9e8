// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"bytes"
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

// Pruned is what a Prune came to.
type Pruned struct {
	Objects, Bytes int64 // That the manifest of the run lists.
	Deleted        int64 // By this attempt.
	Gone           int64 // Were not there any more.
	// Changed were written by somebody since, Listed are those of another manifest, too. Both stay.
	Changed, Listed Examples
	// Unknown means that the run has no manifest below its prefix: nothing says which objects are its own.
	Unknown bool
	// Whole means that this attempt ended before anything was removed, by it or another: the manifest is in its place.
	Whole bool
}

// prune is one attempt to remove what a run has exported.
type prune struct {
	*sender

	request wire.Request
	home    home
	result  Pruned

	old      manifest.Manifest
	tag      string    // The entity tag of its manifest.
	whole    bool      // The manifest is in its place: nothing was removed yet.
	complete time.Time // When S3 stored the manifest: what it lists is older.

	there  []fate          // By entry of the manifest: what the listing says of its object; empty for none.
	listed map[string]bool // Keys below the prefix that another manifest lists.
}

// Prune removes the objects of a complete run. The order is what makes an end at any moment safe:
//
//  1. Everything that may forbid it is read: the manifests of the runs that stay, those of others, and what is there.
//  2. The manifest is kept as pruning.json, and removed: from here on there is no complete export.
//  3. The objects go, each after one more look at it.
//  4. Whatever the run has left of its own goes, pruning.json last.
//
// The next attempt finds either the manifest, and begins, or pruning.json, and goes on, or neither, and is done.
func Prune(ctx context.Context, r wire.Request, s Setup) (Pruned, error) {
	p := &prune{sender: newSender(s, r), request: r, home: homeOf(r), listed: map[string]bool{}}
	err := p.run(ctx)
	p.result.Whole = p.whole
	return p.result, err
}

func (p *prune) run(ctx context.Context) error {
	found, err := p.find(ctx)
	if err != nil {
		return err
	}
	if !found { // Who has the runs that stay has this one's manifest, too, if there is one.
		if err := p.confirmKept(ctx); err != nil {
			return err
		}
		p.result.Unknown = true
		return nil
	}
	for _, step := range []func(context.Context) error{
		p.lookAround, p.confirmKept, p.refuseCopy, p.stepDown, p.deleteAll, p.forgetRun,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// find reads the manifest of the run, or what an earlier attempt has made of it.
func (p *prune) find(ctx context.Context) (bool, error) {
	m, info, found, err := p.read(ctx, p.home.key(manifest.Key))
	switch {
	case err != nil:
		return false, err
	case found && p.isOld(m):
		p.old, p.tag, p.complete, p.whole = m, info.ETag, info.LastModified, true
		return true, nil
	case found && m.Run == p.options.Run:
		return false, fault.New(wire.RequestRejected, "%s is not what this run has written: it lists %s, the run had %s; "+
			"somebody has changed it, so that it does not tell what may be removed, and nothing was",
			plan.Quote(p.home.key(manifest.Key)), m.Digest, p.request.Prune.Digest)
	case found: // Of another run, which may list the same objects.
		p.protect(p.home.base, m)
	}
	m, info, found, err = p.read(ctx, p.home.key(manifest.PruningKey))
	if err != nil || !found || !p.isOld(m) {
		return false, err
	}
	p.old, p.complete = m, info.LastModified
	if at, err := time.Parse(time.RFC3339Nano, info.UserMetadata[completeMetadata]); err == nil {
		p.complete = at
	}
	return true, nil
}

// isOld tells that a manifest is the very one that the run has left.
func (p *prune) isOld(m manifest.Manifest) bool {
	return m.Run == p.options.Run && m.Claim == p.request.Prune.Claim && m.Digest == p.request.Prune.Digest
}

// read refuses a manifest that says nothing to us: it may list anything. One that is damaged may come right next time.
func (p *prune) read(ctx context.Context, key string) (manifest.Manifest, minio.ObjectInfo, bool, error) {
	m, info, found, err := p.manifestAt(ctx, key)
	reason := wire.RequestRejected
	if errors.Is(err, errDamaged) {
		reason = wire.VerificationFailed
	}
	if errors.Is(err, errUnreadable) {
		return m, info, false, fault.New(reason, "%s: %v; it is not known which objects it lists, and nothing was removed",
			plan.Quote(key), err).Because(err)
	}
	return m, info, found, err
}

// protect keeps what another manifest lists.
func (p *prune) protect(base string, m manifest.Manifest) {
	for _, e := range m.Entries {
		if key := base + e.Path; e.Type == manifest.File && p.isBelow(key) {
			p.listed[key] = true
		}
	}
}

// completeMetadata is the name under which pruning.json says when S3 had stored the manifest.
const completeMetadata = "S3populator-Complete"

// stepDown ends that the run is a complete export, before anything of it goes.
func (p *prune) stepDown(ctx context.Context) error {
	if !p.whole {
		return nil
	}
	var text bytes.Buffer
	if err := p.old.Write(&text); err != nil {
		return err //nolint:wrapcheck // It says what failed.
	}
	o := p.ownOptions()
	o.UserMetadata = map[string]string{completeMetadata: p.complete.UTC().Format(time.RFC3339Nano)}
	c := content{from: bytes.NewReader(text.Bytes()), size: int64(text.Len())}
	if _, err := p.put(ctx, p.home.key(manifest.PruningKey), c, o); err != nil {
		return fmt.Errorf("keep the manifest: %w", err)
	}
	info, err := p.head(ctx, p.home.key(manifest.Key))
	if err == nil && info.ETag != p.tag || isNoSuchKey(err) {
		return p.disturbed(p.home.key(manifest.Key))
	}
	if err != nil {
		return err
	}
	p.whole = false
	err = p.remove(ctx, p.home.key(manifest.Key))
	if fault.Rejected(err, http.StatusForbidden) { // As where the keys may not delete: it does not go later, either.
		info, again := p.head(ctx, p.home.key(manifest.Key))
		p.whole = again == nil && info.ETag == p.tag
	}
	return err
}

// forgetRun removes what the run has kept for itself, and last what an attempt after this one would go on with.
func (p *prune) forgetRun(ctx context.Context) error {
	if err := p.end(ctx, p.request); err != nil {
		return err
	}
	return p.remove(ctx, p.home.key(manifest.PruningKey))
}

func (p *prune) disturbed(key string) *fault.Failure {
	return fault.New(wire.VerificationFailed, "another export has begun or ended where this run is: %s is there; it is "+
		"looked at again, and until it is over nothing is removed", plan.Quote(key))
}
