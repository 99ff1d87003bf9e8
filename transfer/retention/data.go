// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// SlowPrune is after what time it is told that the objects of a marked run are still there, and nobody waits for it
// any more but the runs of its claim.
const SlowPrune = 10 * time.Minute

// Mark is the value of the annotation by which the manager says that it removes the objects of a run. It has the UID
// of the run, so that a copy of an S3Export is not marked.
func Mark(e *v1alpha1.S3Export, at time.Time) string {
	return string(e.UID) + " " + at.UTC().Format(time.RFC3339)
}

// Pruning tells that the objects of a complete run are being removed: it is no run to restore, to copy from or to
// keep any more, whatever becomes of the wish.
func Pruning(e *v1alpha1.S3Export) bool {
	return e.UID != "" && strings.HasPrefix(e.Annotations[v1alpha1.AnnotationPruning], string(e.UID)+" ")
}

// PruningSince is when it was marked; zero where that cannot be read.
func PruningSince(e *v1alpha1.S3Export) time.Time {
	at, err := time.Parse(time.RFC3339, strings.TrimPrefix(e.Annotations[v1alpha1.AnnotationPruning], string(e.UID)+" "))
	if err != nil {
		return time.Time{}
	}
	return at
}

// PruneLeft is how long others still wait for a run that is marked. One that was marked by a clock that was ahead is
// not waited for.
func PruneLeft(e *v1alpha1.S3Export, now time.Time) time.Duration {
	left := PruningSince(e).Add(SlowPrune).Sub(now)
	if left > SlowPrune+time.Minute {
		return 0
	}
	return max(left, 0)
}

// PolicyOf is the S3ExportPolicy that made an export; nil for none.
func PolicyOf(e *v1alpha1.S3Export) *metav1.OwnerReference {
	if ref := metav1.GetControllerOf(e); ref != nil && ref.Kind == "S3ExportPolicy" {
		return ref
	}
	return nil
}

// HasOwnPrefix tells of a complete run that no other run has written to the prefix of: its UID is part of it.
func HasOwnPrefix(e *v1alpha1.S3Export) bool {
	return StateOf(e) == Complete && !e.Spec.DryRun && e.Spec.Destination.Key == "" && e.Status.ManifestDigest != "" &&
		e.UID != "" && strings.Contains(e.Status.Prefix, string(e.UID)) && strings.HasSuffix(e.Status.Prefix, "/")
}

// PartOf names what of a volume a run exports: one of a part stands for none of another.
func PartOf(e *v1alpha1.S3Export) string {
	sorted := func(globs []string) []string { return slices.Sorted(slices.Values(globs)) }
	return fmt.Sprintf("%q %q %q", e.Spec.Path, sorted(e.Spec.Include), sorted(e.Spec.Exclude))
}

// Beside are those of some runs that can be looked at with what is known of e, and must be whole before anything of e
// is removed: of the same part of the same volume, in the same bucket, below prefixes of their own.
func Beside(e *v1alpha1.S3Export, runs []*v1alpha1.S3Export) []*v1alpha1.S3Export {
	var all []*v1alpha1.S3Export
	for _, r := range runs {
		a, b := e.Spec.Destination.S3Location, r.Spec.Destination.S3Location
		if r.UID != e.UID && HasOwnPrefix(r) && !Pruning(r) && r.DeletionTimestamp == nil &&
			r.Status.ClaimUID == e.Status.ClaimUID && PartOf(r) == PartOf(e) &&
			a.Bucket == b.Bucket && a.Region == b.Region && endpoint(a) == endpoint(b) {
			all = append(all, r)
		}
	}
	return all
}

func endpoint(l v1alpha1.S3Location) string { return strings.TrimRight(l.Endpoint, "/") }

// NeededBy tells who needs what a run has exported, empty for nobody: a source that restores it, by its name or by a
// prefix, and a run that copies from it. Sources are those of all namespaces, runs those of its own.
func NeededBy(e *v1alpha1.S3Export, sources []v1alpha1.S3Source, runs []v1alpha1.S3Export) string {
	for i := range sources {
		if s := &sources[i]; names(s, e) || reads(s, e) {
			return fmt.Sprintf("S3Source %s/%s restores it; delete the S3Source if it is not needed", s.Namespace, s.Name)
		}
	}
	for i := range runs {
		if o := &runs[i]; o.UID != e.UID && StateOf(o) == Active && o.Status.CopiedFrom == e.Status.Prefix {
			return fmt.Sprintf("S3Export %s copies from it", o.Name)
		}
	}
	return ""
}

// names tells that a source names a run, or has found it.
func names(s *v1alpha1.S3Source, e *v1alpha1.S3Export) bool {
	if s.Spec.FromExport == nil {
		return false
	}
	found := s.Status.FromExport
	return found != nil && found.UID == string(e.UID) || s.Namespace == e.Namespace && s.Spec.FromExport.Run == e.Name
}

// reads tells that a source reads objects of a run, or may: those below a prefix that the run's is part of, or
// below a part of that. A server may have several names; a prefix with the UID of the run says enough.
func reads(s *v1alpha1.S3Source, e *v1alpha1.S3Export) bool {
	to := e.Spec.Destination.S3Location
	if s.Spec.Bucket != to.Bucket || s.Spec.FromExport != nil {
		return false
	}
	below := func(key string) bool { return strings.HasPrefix(key+"/", e.Status.Prefix) }
	if len(s.Spec.Objects) > 0 {
		return slices.ContainsFunc(s.Spec.Objects, func(o v1alpha1.S3Object) bool { return below(o.Key) })
	}
	server := func(l v1alpha1.S3Location) string { return cmp.Or(endpoint(l), l.Region) }
	return below(s.Spec.Prefix) ||
		strings.HasPrefix(e.Status.Prefix, s.Spec.Prefix) &&
			(server(s.Spec.S3Location) == server(to) || strings.Contains(s.Spec.Prefix, string(e.UID)))
}
