// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"net/http"
	"sort"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

func (p *prune) isBelow(key string) bool { return strings.HasPrefix(key, p.home.base) }

// lookAround finds every manifest that could list an object of the run: that of an export below the prefix, and
// that of one above it, for which the prefix is a directory. Where an export has begun and not ended, nobody
// knows what it will list.
func (p *prune) lookAround(ctx context.Context) error {
	for _, prefix := range above(p.home.base) {
		if err := p.lookAbove(ctx, prefix); err != nil {
			return err
		}
	}
	p.there = make([]fate, len(p.old.Entries))
	var manifests []string
	err := p.each(ctx, p.home.base, func(o minio.ObjectInfo) error {
		if i, ok := find(p.old.Entries, strings.TrimPrefix(o.Key, p.home.base)); ok {
			e := p.old.Entries[i]
			if o.ETag == "" { // Some gateways list none; it is asked for before anything is removed.
				o.ETag = e.ETag
			}
			if p.there[i] = p.fateOf(e, true, o); p.there[i] == goes {
				return nil // A volume may hold files with the names of ours.
			}
		}
		switch {
		case p.isOwn(o.Key):
		case strings.HasSuffix(o.Key, "/"+manifest.Key):
			manifests = append(manifests, o.Key)
		case isKept(o.Key):
			return p.disturbed(o.Key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, key := range manifests {
		if err := p.readOther(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// refuseCopy ends a removal that would remove nothing but the manifest: where all that is there was written after
// that, as in a copy of a bucket, nothing says that it is the run's.
func (p *prune) refuseCopy(context.Context) error {
	var going, others int
	for i, e := range p.old.Entries {
		switch {
		case !p.whole, e.Type != manifest.File, p.listed[p.home.base+e.Path]:
		case p.there[i] == goes:
			going++
		case p.there[i] == changed:
			others++
		}
	}
	if going > 0 || others == 0 {
		return nil
	}
	return fault.New(wire.RequestRejected, "all %d objects that are there of this run were written after its manifest, "+
		"as in a copy of a bucket, so that nothing says that they are its own; nothing was removed; remove them by hand, "+
		"and then the S3Export", others)
}

// above are the prefixes that have a prefix in them, the whole bucket first.
func above(prefix string) []string {
	all := []string{""}
	for i, c := range []byte(prefix) {
		if c == '/' && i+1 < len(prefix) {
			all = append(all, prefix[:i+1])
		}
	}
	return all
}

// isKept tells of a key that an export keeps for itself.
func isKept(key string) bool { return strings.Contains("/"+key, "/"+wire.JournalDir+"/") }

// isOwn tells of what the run itself, or this, has below the prefix.
func (p *prune) isOwn(key string) bool {
	return key == p.home.key(manifest.Key) || key == p.home.key(manifest.PruningKey) ||
		strings.HasPrefix(key, p.home.runPrefix(p.options.Run))
}

// lookAbove looks for an export to a prefix that has ours in it.
func (p *prune) lookAbove(ctx context.Context, prefix string) error {
	err := p.each(ctx, prefix+wire.JournalDir+"/", func(o minio.ObjectInfo) error {
		if o.Key != prefix+manifest.Key {
			return p.disturbed(o.Key)
		}
		return p.readOther(ctx, o.Key)
	})
	if fault.Rejected(err, http.StatusForbidden) {
		return fault.New(wire.AccessDenied, "these credentials may not list %s, where the manifest of another export could "+
			"list the same objects; allow s3:ListBucket and s3:GetObject for it; nothing was removed",
			plan.Quote(prefix+wire.JournalDir+"/")).Because(err)
	}
	return err
}

// readOther keeps what the manifest under a key lists.
func (p *prune) readOther(ctx context.Context, key string) error {
	m, _, found, err := p.read(ctx, key)
	if err == nil && !found { // It was there a moment ago.
		return p.disturbed(key)
	}
	p.protect(strings.TrimSuffix(key, manifest.Key), m)
	return err
}

// confirmKept sees to it that the runs that stay are there, and that all of the newest is.
func (p *prune) confirmKept(ctx context.Context) error {
	for i, k := range p.request.Prune.Kept {
		m, _, found, err := p.read(ctx, k.Prefix+manifest.Key)
		if err != nil {
			return err
		}
		if !found || m.Run != k.Run || m.Claim != p.request.Prune.Claim || m.Digest != k.Digest {
			return fault.New(wire.VerificationFailed, "%s is not, or not any more, the manifest of a run that is to stay; "+
				"nothing was removed; if its objects are gone for good, delete the S3Export with the UID %s",
				plan.Quote(k.Prefix+manifest.Key), k.Run)
		}
		p.protect(k.Prefix, m)
		if i > 0 {
			continue
		}
		if err := p.confirmWhole(ctx, k, m); err != nil {
			return err
		}
		if err := p.refuseEmptied(k, m); err != nil {
			return err
		}
	}
	return nil
}

// confirmWhole looks for every object of a run by one listing.
func (p *prune) confirmWhole(ctx context.Context, k wire.KeptRun, m manifest.Manifest) error {
	lost, err := p.lost(ctx, k.Prefix, m)
	if err != nil || lost.Count == 0 {
		return err
	}
	sort.Strings(lost.First)
	return fault.New(wire.VerificationFailed, "%d objects of the newest run, which is to stay, are not as they were "+
		"exported: %s; nothing was removed; export the claim again", lost.Count, strings.Join(lost.First, ", "))
}
