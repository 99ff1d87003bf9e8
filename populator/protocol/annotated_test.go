// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// A claim that describes its source by annotations is filled from the source that was made
// from them, and from no other one of that name.
func TestOnlyTheOwnSourceIsLoaded(t *testing.T) {
	own := func(s *State) { annotatedClaim(s); predecessors(s); s.Source.OwnerReferences[0].UID = s.Claim.UID }
	cases := map[string]struct {
		in     State
		action Action
		reason v1alpha1.Reason
	}{
		"its own":                              {world(own), CreatePrime, ""},
		"somebody's":                           {world(annotatedClaim), Wait, v1alpha1.ReasonSourceConflict},
		"that of an earlier claim":             {world(annotatedClaim, predecessors), Wait, v1alpha1.ReasonSourceConflict},
		"the same, a moment ago":               {world(annotatedClaim, predecessors, newClaim), Wait, ""},
		"none":                                 {world(annotatedClaim, noSource), Wait, v1alpha1.ReasonSourceNotFound},
		"none, of a name that others wait for": {world(annotatedLater, noSource), Wait, v1alpha1.ReasonSourceConflict},
		"none, by wrong annotations":           {world(badURL, noSource), Wait, v1alpha1.ReasonInvalidAnnotations},
		"gone after there is a mover": {
			world(annotatedClaim, boundPrime, longMover, noSource), Wait, v1alpha1.ReasonPopulating,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if d := Decide(c.in); d.Action != c.action || d.Reason != c.reason {
				t.Errorf("decided %+v", d)
			}
		})
	}
}
