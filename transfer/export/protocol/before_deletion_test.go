// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// TestTheLastHopeDoesNotExpire: with its S3Export the volume of a claim that is gone would be given up.
func TestTheLastHopeDoesNotExpire(t *testing.T) {
	t.Parallel()
	last := func(s *State) { s.Export.Labels = map[string]string{v1alpha1.LabelRole: v1alpha1.RoleFinalExport} }
	marked := func(s *State) {
		s.Export.Annotations = map[string]string{v1alpha1.AnnotationPruning: string(s.Export.UID) + " 2026-11-26T00:00:00Z"}
	}
	skipped := func(s *State) { s.Export.Status.SkippedPaths = 1 }
	wanted := func(s *State) { s.Export.Spec.UnsafePaths = v1alpha1.UnsafePathsSkip }
	changed := func(s *State) { s.Export.Status.ChangedFiles = 1 }
	gone := func(s *State) { s.Export.Status.GoneFiles = 1 }
	taken := func(s *State) { s.Claim, s.Taken = nil, true } // Somebody deleted the export claim.
	given := func(s *State) { s.Claim = nil }                // The export claim went when the volume was given back.
	for name, tt := range map[string]struct {
		state State
		want  Action
	}{
		"failed":        {world(unguarded, ttl(1), last, given, over(v1alpha1.ConditionFailed, time.Hour)), Wait},
		"paths skipped": {world(unguarded, ttl(1), last, skipped, given, over(v1alpha1.ConditionComplete, time.Hour)), Wait},
		"that was wanted": {
			world(unguarded, ttl(1), last, skipped, wanted, given, over(v1alpha1.ConditionComplete, time.Hour)), DeleteExport,
		},
		"that was wanted, and nobody believes it": {
			world(unguarded, ttl(1), last, skipped, wanted, over(v1alpha1.ConditionComplete, time.Hour)), Wait,
		},
		"files changed": {world(unguarded, ttl(1), last, changed, given, over(v1alpha1.ConditionComplete, time.Hour)), Wait},
		"files went":    {world(unguarded, ttl(1), last, gone, given, over(v1alpha1.ConditionComplete, time.Hour)), Wait},
		"complete":      {world(unguarded, ttl(1), last, given, over(v1alpha1.ConditionComplete, time.Hour)), DeleteExport},
		"complete, of an export claim that was made anew": {
			world(unguarded, ttl(1), last, over(v1alpha1.ConditionComplete, time.Hour)), Wait,
		},
		"complete, its export claim was deleted": {
			world(unguarded, ttl(1), last, taken, over(v1alpha1.ConditionComplete, time.Hour)), Wait,
		},
		"being removed":   {world(unguarded, ttl(1), marked, over(v1alpha1.ConditionComplete, time.Hour)), Wait},
		"failed, no last": {world(unguarded, ttl(1), over(v1alpha1.ConditionFailed, time.Hour)), DeleteExport},
	} {
		if d, _ := expire(tt.state); d.Action != tt.want {
			t.Errorf("%s: %s, want %s", name, d.Action, tt.want)
		}
	}
}

// An export before deletion reads through another claim, and goes on from the runs of the claim that goes: what
// those have exported is not read again.
func TestBeforeDeletion(t *testing.T) {
	t.Parallel()
	s := world(func(s *State) {
		s.Claim.Name, s.Claim.UID, s.Export.Spec.ClaimName = "s3export-c-1", "x-1", "s3export-c-1"
		s.Claim.Labels = map[string]string{
			v1alpha1.LabelRole: v1alpha1.RoleFinalExport, v1alpha1.LabelClaimUID: "c-1",
		}
		s.Users = nil
		earlier := run("nightly", completed(time.Hour), func(s *State) {
			s.Export.Status.ClaimUID, s.Export.Status.Prefix = "c-1", "team/data/nightly/"
		})
		s.Runs = []v1alpha1.S3Export{earlier}
	})
	pod, err := Mover(s, Options{Defaults: defaults})
	if err != nil {
		t.Fatal(err)
	}
	request := strings.Join(pod.Spec.Containers[0].Args, "")
	if !strings.Contains(request, `"claimUID":"c-1"`) || strings.Contains(request, `"claimUID":"x-1"`) ||
		!strings.Contains(request, "team/data/nightly/") {
		t.Errorf("the mover is asked for %s", request)
	}
}
