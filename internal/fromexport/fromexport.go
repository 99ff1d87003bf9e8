// SPDX-License-Identifier: Apache-2.0

// Package fromexport finds the prefix of a source that names an export instead of a prefix. It is pure. What was
// found is kept in the status of the source and stays, so that claims are filled with one run whatever is exported
// later.
package fromexport

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Effective is the source with the prefix that was found for it; false where none was found for what it names now. A
// source that names no export is returned as it is. The source itself is not changed.
func Effective(source *v1alpha1.S3Source) (*v1alpha1.S3Source, bool) {
	asked, found := source.Spec.FromExport, source.Status.FromExport
	switch {
	case asked == nil && found == nil:
		return source, true
	case asked == nil: // What was found for what was asked before is not what is read.
		source = source.DeepCopy()
		source.Status.FromExport = nil
		return source, true
	case found == nil || found.Prefix == "" || !equality.Semantic.DeepEqual(*asked, found.Asked):
		return source, false
	}
	source = source.DeepCopy()
	source.Spec.Prefix, source.Spec.FromExport = found.Prefix, nil
	return source, true
}

// Run is the export that an effective source is read from; nothing where it names none.
func Run(effective *v1alpha1.S3Source) (uid, prefix, digest string) {
	found := effective.Status.FromExport
	if found == nil || effective.Spec.FromExport != nil {
		return "", "", ""
	}
	return found.UID, found.Prefix, found.ManifestDigest
}

// Find is the export that a source names, or why there is none: the named run, or the latest of the claim that was
// complete before a time, or at all. An emptier one, as of a disk that was not mounted, is the latest only where none
// of the same volume has more: see better.
func Find(source *v1alpha1.S3Source, exports []v1alpha1.S3Export) (*v1alpha1.SourceExport, string) {
	asked := source.Spec.FromExport
	// By the UID of the claim: what one of the same name had before is not what this one has.
	bests := map[string]*v1alpha1.S3Export{}
	why := fmt.Sprintf("no complete S3Export of all of claim %s is there", asked.Claim)
	if asked.Run != "" {
		why = fmt.Sprintf("there is no S3Export %s", asked.Run)
	}
	for i := range exports {
		e := &exports[i]
		if asked.Run != "" && e.Name != asked.Run {
			continue
		}
		reason := unfit(source, e, exports)
		if reason != "" && asked.Run != "" {
			why = fmt.Sprintf("S3Export %s %s", e.Name, reason)
		}
		if reason == "" && better(e, bests[e.Status.ClaimUID]) {
			bests[e.Status.ClaimUID] = e
		}
	}
	best := latest(bests)
	if best == nil {
		return nil, why
	}
	return &v1alpha1.SourceExport{
		Asked: *asked.DeepCopy(), Name: best.Name, UID: string(best.UID), Prefix: best.Status.Prefix,
		CompletionTime: best.Status.CompletionTime.DeepCopy(), ManifestDigest: best.Status.ManifestDigest,
	}, ""
}

// better tells that of one claim an export with regular files comes before one with links alone, that before one with
// nothing, and then the later.
func better(e, than *v1alpha1.S3Export) bool {
	switch {
	case than == nil:
		return true
	case e.EmptierThan(than) || than.EmptierThan(e):
		return than.EmptierThan(e)
	}
	return later(e, than)
}

// latest is nil where there is none.
func latest(bests map[string]*v1alpha1.S3Export) (best *v1alpha1.S3Export) {
	for _, e := range bests {
		if best == nil || later(e, best) {
			best = e
		}
	}
	return best
}

// later tells which of two was complete last; names decide between those of one second, not the order of a cache.
func later(e, than *v1alpha1.S3Export) bool {
	at, thanAt := e.Status.CompletionTime, than.Status.CompletionTime
	return thanAt.Before(at) || thanAt.Equal(at) && e.Name > than.Name
}

// unfit is why an export cannot be what a source names; empty where it can.
func unfit(source *v1alpha1.S3Source, e *v1alpha1.S3Export, all []v1alpha1.S3Export) string {
	if why := unfinished(e); why != "" {
		return why
	}
	if why := unasked(source, e); why != "" {
		return why
	}
	for i := range all {
		if o := &all[i]; overwrites(o, e) && (source.Spec.FromExport.Run == "" || !refused(o)) {
			return fmt.Sprintf("was overwritten by S3Export %s, which has the same prefix", o.Name)
		}
	}
	return ""
}

// unfinished is why nothing can be read from an export.
func unfinished(e *v1alpha1.S3Export) string {
	switch {
	case meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionFailed):
		return "has failed"
	case !meta.IsStatusConditionTrue(e.Status.Conditions, v1alpha1.ConditionComplete) || e.Status.CompletionTime == nil:
		return "is not complete"
	case e.DeletionTimestamp != nil:
		return "is being deleted"
	case strings.HasPrefix(e.Annotations[v1alpha1.AnnotationPruning], string(e.UID)+" "):
		return "is being removed, as spec.pruneData of its S3ExportPolicy asks for"
	case e.Spec.DryRun || e.Status.Prefix == "":
		return "has no prefix of its own: it was a dry run, or is one object"
	}
	return ""
}

// unasked is why an export that can be read is not the one.
func unasked(source *v1alpha1.S3Source, e *v1alpha1.S3Export) string {
	asked, to := source.Spec.FromExport, e.Spec.Destination
	part := e.Spec.Path != "" || len(e.Spec.Include)+len(e.Spec.Exclude) > 0
	switch {
	case claimOf(e) != asked.Claim:
		return fmt.Sprintf("is of claim %s, not of %s", claimOf(e), asked.Claim)
	case asked.Run == "" && part:
		return "is of a part of the volume"
	case asked.Before != nil && !e.Status.CompletionTime.Time.Before(asked.Before.Time):
		return "was complete too late"
	case server(to.S3Location) != server(source.Spec.S3Location) || to.Bucket != source.Spec.Bucket:
		return fmt.Sprintf("is in bucket %s of %s, and the source names bucket %s of %s", to.Bucket, server(to.S3Location),
			source.Spec.Bucket, server(source.Spec.S3Location))
	}
	return ""
}

// overwrites tells that another run has begun below the prefix of one after that was complete.
func overwrites(o, e *v1alpha1.S3Export) bool {
	a, b := o.Spec.Destination, e.Spec.Destination
	return o.UID != e.UID && !o.Spec.DryRun && o.Status.Prefix == e.Status.Prefix && a.Bucket == b.Bucket &&
		server(a.S3Location) == server(b.S3Location) && o.Status.StartTime != nil &&
		!o.Status.StartTime.Time.Before(e.Status.CompletionTime.Truncate(time.Second))
}

// refused tells of a run that has failed because it would have emptied the export before. It has given the place back,
// or says that it could not: so who names the one before may have it, and the mover finds its manifest or another one.
// Nobody else is bound to it, who may have the next complete one.
func refused(e *v1alpha1.S3Export) bool {
	c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionFailed)
	return c != nil && c.Status == metav1.ConditionTrue && c.Reason == string(wire.SourceEmpty)
}

// server is the endpoint, or the region where that is AWS: with an endpoint the region is only signed.
func server(l v1alpha1.S3Location) string {
	return cmp.Or(strings.TrimRight(l.Endpoint, "/"), l.Region)
}

// claimOf is the user's claim: before a deletion an export claim has its volume.
func claimOf(e *v1alpha1.S3Export) string {
	return cmp.Or(e.Annotations[v1alpha1.AnnotationExportOf], e.Spec.ClaimName)
}
