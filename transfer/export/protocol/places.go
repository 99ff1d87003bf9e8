// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// PlaceOf names where a run writes: server, bucket, and prefix or key. Runs with one name write to one place; empty is
// nowhere.
func PlaceOf(e *v1alpha1.S3Export) string {
	prefix, err := PrefixOf(e)
	if err != nil || e.Spec.DryRun {
		return ""
	}
	to := e.Spec.Destination
	server := cmp.Or(strings.TrimRight(to.Endpoint, "/"), to.Region) // With an endpoint the region is only signed.
	return strings.Join([]string{server, to.Bucket, to.Key, prefix}, " ")
}

// Shared is a run of another claim that has written to the place of e: the oldest, so that what is told does not
// change. Runs of one claim may share a place, also the one before its deletion, and with a claim that is made anew.
func Shared(e *v1alpha1.S3Export, all []v1alpha1.S3Export) *v1alpha1.S3Export {
	var first *v1alpha1.S3Export
	place := PlaceOf(e)
	for i := range all {
		o := &all[i]
		if place == "" || o.UID == e.UID || !begun(o) || PlaceOf(o) != place ||
			o.Namespace == e.Namespace && exportedClaim(o) == exportedClaim(e) {
			continue
		}
		if first == nil || cmp.Or(o.CreationTimestamp.Compare(first.CreationTimestamp.Time),
			strings.Compare(o.Namespace, first.Namespace), strings.Compare(o.Name, first.Name)) < 0 {
			first = o
		}
	}
	return first
}

// exportedClaim is the user's: before a deletion an export claim has its volume.
func exportedClaim(e *v1alpha1.S3Export) string {
	return cmp.Or(e.Annotations[v1alpha1.AnnotationExportOf], e.Spec.ClaimName)
}

// TellShared says with whom a run shares its place; empty where it is alone. Who reads it may not know what there is in
// another namespace.
func TellShared(s State) string {
	o := s.Shared
	if o == nil {
		return ""
	}
	who := "a claim of another namespace"
	if o.Namespace == s.Export.Namespace {
		who = fmt.Sprintf("claim %s (S3Export %s)", exportedClaim(o), o.Name)
	}
	return fmt.Sprintf(
		"Its destination is that of %s, too: each run replaces the other's objects of the same name and its "+
			"manifest, so that only the newest can be restored, and two at once spoil both. Give each a place of its own, "+
			"by {{.Namespace}}, {{.Claim}} or {{.Run}} in the prefix.",
		who,
	)
}
