// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

func inNamespace(name string) change { return func(s *State) { s.Export.Namespace = name } }

func ofClaim(name string) change { return func(s *State) { s.Export.Spec.ClaimName = name } }

// TestShared: two claims with one place, whatever their namespaces, are told of; runs of one claim are not.
func TestShared(t *testing.T) {
	t.Parallel()
	e := run("e", shared)
	own := func(s *State) { s.Export.Spec.Destination.Prefix = "{{.Namespace}}/{{.Claim}}/" }
	for name, test := range map[string]struct {
		other v1alpha1.S3Export
		want  bool
	}{
		"of another claim":           {run("o", shared, begunOnce, ofClaim("other")), true},
		"of another namespace":       {run("o", shared, begunOnce, inNamespace("other")), true},
		"of another claim, complete": {run("o", shared, ofClaim("other"), over(v1alpha1.ConditionComplete, time.Hour)), true},
		"that has not begun":         {run("o", shared, ofClaim("other")), false},
		"of the same claim":          {run("o", shared, begunOnce), false},
		"with a place of its own":    {run("o", own, begunOnce, inNamespace("other")), false},
		"that writes nothing":        {run("o", shared, begunOnce, dryRun, ofClaim("other")), false},
		"itself":                     {e, false},
		"of the same claim, last of all": {run("o", shared, begunOnce, ofClaim("s3export-1"), func(s *State) {
			s.Export.Annotations = map[string]string{v1alpha1.AnnotationExportOf: "data"}
		}), false},
		"in another bucket": {run("o", shared, begunOnce, ofClaim("other"), func(s *State) {
			s.Export.Spec.Destination.Bucket = "other"
		}), false},
	} {
		if got := Shared(&e, []v1alpha1.S3Export{test.other}); (got != nil) != test.want {
			t.Errorf("an export %s shares the place: %t, want %t", name, got != nil, test.want)
		}
	}
	young, old := run("a", shared, begunOnce, ofClaim("x"), younger), run("b", shared, begunOnce, ofClaim("y"))
	for _, all := range [][]v1alpha1.S3Export{{young, old}, {old, young}} {
		if got := Shared(&e, all); got == nil || got.Name != "b" {
			t.Errorf("the oldest is %+v", got)
		}
	}
}

// TestSharedIsTold in the condition, without what another namespace has.
func TestSharedIsTold(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]change{
		"another claim": ofClaim("notebooks"), "another namespace": inNamespace("b-team"),
	} {
		o := run("theirs", shared, begunOnce, other)
		s := world(shared, mover("Succeeded", reports(wire.Report{Class: wire.Done})))
		s.Shared = &o
		c := meta.FindStatusCondition(Status(s, Decide(s, moverpod.Defaults{})).Conditions, v1alpha1.ConditionComplete)
		if c == nil || c.Reason != "Exported" || !strings.Contains(c.Message, "Its destination is that of") ||
			strings.Contains(c.Message, "b-team") || strings.Contains(c.Message, "notebooks") != (name == "another claim") {
			t.Errorf("%s: says %+v", name, c)
		}
	}
}
