// SPDX-License-Identifier: Apache-2.0

package retention

import (
	"strings"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Pruning tells that the objects of a complete run are being removed: it is no run to restore, to copy from or to
// keep any more, whatever becomes of the wish.
func Pruning(e *v1alpha1.S3Export) bool { return e.Annotations[v1alpha1.AnnotationPruning] != "" }

// HasOwnPrefix tells of a complete run that no other run has written to the prefix of: its UID is part of it.
func HasOwnPrefix(e *v1alpha1.S3Export) bool {
	return StateOf(e) == Complete && !e.Spec.DryRun && e.Spec.Destination.Key == "" && e.Status.ManifestDigest != "" &&
		e.UID != "" && strings.Contains(e.Status.Prefix, string(e.UID)) && strings.HasSuffix(e.Status.Prefix, "/")
}

// Beside are those of some runs that can be looked at with what is known of e, and must be whole before anything of e
// is removed: of the same volume, in the same bucket, below prefixes of their own.
func Beside(e *v1alpha1.S3Export, runs []*v1alpha1.S3Export) []*v1alpha1.S3Export {
	var all []*v1alpha1.S3Export
	for _, r := range runs {
		a, b := e.Spec.Destination.S3Location, r.Spec.Destination.S3Location
		if r.UID != e.UID && HasOwnPrefix(r) && !Pruning(r) && r.DeletionTimestamp == nil &&
			r.Status.ClaimUID == e.Status.ClaimUID && a.Bucket == b.Bucket && a.Region == b.Region &&
			strings.TrimRight(a.Endpoint, "/") == strings.TrimRight(b.Endpoint, "/") {
			all = append(all, r)
		}
	}
	return all
}
