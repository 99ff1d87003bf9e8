// SPDX-License-Identifier: Apache-2.0

package final

import (
	"fmt"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// unaskedPatience is how long a claim stays held for which nothing asks any more. Who removes an application has its
// policies and its claims deleted within seconds, in whatever order; a claim that is deleted in this time stays, and
// its condition says what is missing.
const unaskedPatience = time.Minute

// unasked tells that a claim is held and not deleted, and that neither its annotations nor a policy asks for its export
// any more. A policy that is being deleted asks until it is gone.
func (s State) unasked() bool {
	if s.Claim == nil || s.Claim.DeletionTimestamp != nil || s.Leaving || !Held(s.Claim) || s.selected() {
		return false
	}
	_, unclear := s.policy()
	return !unclear
}

// unaskedFor is for how long this process has seen that nothing asks. Another one begins anew: to hold a claim for
// longer loses nothing.
func (r *Reconciler) unaskedFor(s State) time.Duration {
	if !s.unasked() {
		r.unasked.Delete(s.UID)
		return 0
	}
	now := r.Now()
	since, _ := r.unasked.LoadOrStore(s.UID, now)
	return now.Sub(since.(time.Time))
}

// tellNotAsked is for whoever deleted a policy, or took a label away, and did not think of the claims.
func tellNotAsked() string {
	return fmt.Sprintf("For %s neither annotations of the claim nor an S3ExportPolicy with spec.onDelete have asked for "+
		"its export before it goes. The finalizer %s was taken off: when the claim is deleted, nothing is exported. If that "+
		"is not intended, make the policy again, give the claim a label that the policy's spec.claimSelector selects, or "+
		"annotate it with %s=%s and %s.",
		unaskedPatience, v1alpha1.FinalizerFinalExport, v1alpha1.AnnotationExportOnDelete, v1alpha1.ExportOnDelete,
		v1alpha1.AnnotationExportTo)
}
