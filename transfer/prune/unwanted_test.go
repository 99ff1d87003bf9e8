// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/retention"
)

// policy of the runs, which keeps two.
func policy(change ...func(*v1alpha1.S3ExportPolicySpec)) func(*state) {
	return func(s *state) {
		s.Policy = &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "nightly", UID: "p-1"}}
		s.Policy.Spec.PruneData, s.Policy.Spec.Keep = true, 2
		for _, f := range change {
			f(&s.Policy.Spec)
		}
	}
}

// TestGiveUp: what a mover has left whole, and nobody would mark now, is not removed any more.
func TestGiveUp(t *testing.T) {
	whole := &wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "S3 denies access", Whole: true}
	unsure := &wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "S3 denies access"}
	keep := func(n int32) func(*v1alpha1.S3ExportPolicySpec) {
		return func(s *v1alpha1.S3ExportPolicySpec) { s.Keep = n }
	}
	same := func(n int) func(*state) { // Digest, that of no file.
		return run(n, func(e *v1alpha1.S3Export) { e.Status.ManifestDigest = "sha256:none" })
	}
	unasked := func(s *v1alpha1.S3ExportPolicySpec) { s.PruneData = false }
	elsewhere := func(e *v1alpha1.S3Export) { e.Spec.Destination.Bucket = "other" }
	orphan := run(1, func(e *v1alpha1.S3Export) { e.OwnerReferences = nil })
	source := func(s *state) {
		s.Sources = append(s.Sources, v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "restore"}})
		s.Sources[0].Spec.FromExport = &v1alpha1.FromExport{Claim: "data", Run: "r1"}
	}
	for name, tt := range map[string]struct {
		state state
		told  string // Empty where it stays marked.
	}{
		"it is still wanted":            {world(policy(), mover(0, whole)), ""},
		"its policy is not there":       {world(mover(0, whole)), ""},
		"it has none any more":          {world(orphan, mover(0, whole)), "does not belong to an S3ExportPolicy"},
		"it has none, and nobody knows": {world(orphan, mover(0, unsure)), ""},
		"nothing is to be removed":      {world(policy(unasked), mover(0, whole)), "spec.pruneData"},
		"nothing is, and nobody knows":  {world(policy(unasked), mover(0, unsure)), ""},
		"nothing is, and a mover runs":  {world(policy(unasked), mover(0, nil)), ""},
		"three are to stay":             {world(policy(keep(3)), mover(0, whole)), ""},
		"four are to stay":              {world(policy(keep(4)), mover(0, whole)), "nightly is 4"},
		"one that was newer is marked":  {world(policy(keep(3)), mark(4), mover(0, whole)), "there are 2 newer"},
		"a source names it":             {world(policy(), source, mover(0, whole)), "S3Source ml/restore restores it"},
		"those that are newer are elsewhere": {
			world(policy(), run(2, elsewhere), run(3, elsewhere), run(4, elsewhere), mover(0, whole)), "in its bucket",
		},
		"the newest has no file, and this some": {
			world(policy(), run(1, func(e *v1alpha1.S3Export) { e.Status.Objects = 7 }), mover(0, whole)),
			"r4, has no regular file",
		},
		"the newest has no file, and this has links": {
			world(policy(), run(1, func(e *v1alpha1.S3Export) { e.Status.Links = 3 }), mover(0, whole)),
			"r4, has no regular file, and this one has 3",
		},
		"neither has a file, and this may have links": {
			world(policy(), same(1), same(4), mover(0, whole)), "r4, has no file, nor has this one",
		},
		"neither has a file, and nobody knows what is left": {world(policy(), same(1), same(4), mover(0, unsure)), ""},
	} {
		d := decide(tt.state)
		if (d.Action == takeBack) != (tt.told != "") || tt.told != "" &&
			(d.Reason != v1alpha1.ReasonPruneGivenUp || !d.Normal || !strings.Contains(d.Message, tt.told)) {
			t.Errorf("%s: %s, tells %s: %s; want %q", name, d.Action, d.Reason, d.Message, tt.told)
		}
	}
}

// TestAMarkIsTakenBack with the mover that says that it may be, and told then, and neither where there is another one.
func TestAMarkIsTakenBack(t *testing.T) {
	whole := wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no", Whole: true}
	for name, tt := range map[string]struct {
		lives  types.UID // The mover that the API server has.
		marked bool
	}{
		"that mover": {"pod-1", false}, "another one": {"pod-2", true},
	} {
		s := world(policy(func(s *v1alpha1.S3ExportPolicySpec) { s.PruneData = false }))
		pod, err := moverFor(s.Export, decide(s).Kept, Options{Image: moverpod.Image{Name: "mover"}})
		if err != nil {
			t.Fatal(err)
		}
		end(pod, whole)
		pod.UID, pod.CreationTimestamp = "pod-1", metav1.NewTime(now)
		old := server(t, s, s.Policy.DeepCopy(), pod.DeepCopy())
		pod.UID = tt.lives
		live := server(t, s, s.Policy.DeepCopy(), pod)
		told := pass(t, &kubetest.Process{}, kubetest.Cached(live, old), live, "r1")
		e := &v1alpha1.S3Export{}
		if err := live.Get(t.Context(), client.ObjectKey{Namespace: "ml", Name: "r1"}, e); err != nil {
			t.Fatal(err)
		}
		left := len(endMovers(t, live))
		if retention.Pruning(e) != tt.marked || (left > 0) != tt.marked || (len(told) == 0) != tt.marked {
			t.Errorf("%s: marked %t, %d movers, tells %q", name, retention.Pruning(e), left, told)
		}
	}
}
