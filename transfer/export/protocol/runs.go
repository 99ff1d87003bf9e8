// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func nameOf(e *v1alpha1.S3Export) types.NamespacedName {
	return types.NamespacedName{Namespace: e.Namespace, Name: e.Name}
}

// Ahead is a run of the same destination whose turn is before that of e: one that has begun comes
// before one that has not, and the older one before the younger. Prefix resolves that of a run.
func Ahead(
	e *v1alpha1.S3Export, all []v1alpha1.S3Export, prefix func(*v1alpha1.S3Export) (string, error),
) *v1alpha1.S3Export {
	own, err := prefix(e)
	if err != nil || e.Spec.DryRun {
		return nil
	}
	for i := range all {
		o := &all[i]
		if o.UID == e.UID || !writes(o) || !comesBefore(o, e) {
			continue
		}
		if theirs, err := prefix(o); err == nil && theirs == own && samePlace(o, e) {
			return o
		}
	}
	return nil
}

// writes tells that a run writes to its destination, or will.
func writes(e *v1alpha1.S3Export) bool {
	isOver := Over(e) && !Guarded(e)
	return !e.Spec.DryRun && !isOver && (!e.Spec.Suspend || begun(e))
}

func comesBefore(a, b *v1alpha1.S3Export) bool {
	if begun(a) != begun(b) {
		return begun(a)
	}
	if at, bt := a.CreationTimestamp, b.CreationTimestamp; !at.Equal(&bt) {
		return at.Before(&bt)
	}
	return a.Name < b.Name
}

// samePlace compares servers by their endpoints; where there is none, by their regions: with one, the region is
// only signed.
func samePlace(a, b *v1alpha1.S3Export) bool {
	x, y := a.Spec.Destination, b.Spec.Destination
	server := strings.TrimRight(x.Endpoint, "/")
	return server == strings.TrimRight(y.Endpoint, "/") && (server != "" || x.Region == y.Region) &&
		x.Bucket == y.Bucket && x.Key == y.Key
}

// pruning tells that the objects of a run are being removed.
func pruning(e *v1alpha1.S3Export) bool {
	return strings.HasPrefix(e.Annotations[v1alpha1.AnnotationPruning], string(e.UID)+" ")
}

// readable tells that a run is complete, and its objects are not being removed.
func readable(e *v1alpha1.S3Export) bool {
	return Complete(e) && !e.Spec.DryRun && !pruning(e) &&
		e.Status.Prefix != "" && e.Status.CompletionTime != nil
}

// Last is the last complete run of the claim that unchanged files of e can be copied from: in the same
// bucket, with the same credentials, below another prefix.
func Last(e *v1alpha1.S3Export, all []v1alpha1.S3Export, claim types.UID, prefix string) *v1alpha1.S3Export {
	var best *v1alpha1.S3Export
	for i := range all {
		o := &all[i]
		if o.UID == e.UID || !readable(o) || o.Status.ClaimUID != string(claim) || o.Status.Prefix == prefix ||
			!equality.Semantic.DeepEqual(o.Spec.Destination.S3Location, e.Spec.Destination.S3Location) {
			continue
		}
		if best == nil || best.Status.CompletionTime.Before(o.Status.CompletionTime) {
			best = o
		}
	}
	return best
}
