// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Which volume a mover gets, and what becomes of one that it must not get.
func TestDecideOfVolumes(t *testing.T) {
	capture := func(a Action) want { return want{a, late, v1alpha1.ReasonVolumeCaptured} }
	cases := map[string]struct {
		in   State
		want want
		says string
	}{
		"a late prime gets a consumer, not a mover": {world(immediately, withPrime), want{Action: StartConsumer}, ""},
		"a consumer needs the source": {
			world(immediately, withPrime, noSource),
			want{Wait, late, v1alpha1.ReasonSourceNotFound},
			"",
		},
		"a late prime with a node needs no consumer": {world(immediately, primeOnNode), want{Action: Wait}, ""},
		"a consumer is waited for silently at first": {world(immediately, withPrime, newConsumer), want{Action: Wait}, ""},
		"one that cannot be scheduled is explained": {
			world(immediately, withPrime, oldConsumer),
			want{Wait, late, v1alpha1.ReasonMoverPending},
			"0/3 nodes",
		},
		"one that waits for the provisioner is too": {
			world(immediately, oldPrime, primeNode, oldConsumer),
			want{Wait, late, v1alpha1.ReasonProvisioning},
			"s3prime-",
		},
		"another placement takes another consumer": {
			world(immediately, withPrime, oldConsumer, otherPlacement),
			want{Action: DeleteConsumer},
			"",
		},
		"a foreign consumer is reported": {
			world(immediately, withPrime, withConsumer(0, unlabelled)),
			want{Wait, "False", v1alpha1.ReasonPrimeConflict},
			"Delete it",
		},
		"one that ended in vain goes": {
			world(immediately, withPrime, withConsumer(time.Hour, consumerDone)),
			want{Action: DeleteConsumer},
			"",
		},
		"a bound prime loses its consumer first": {
			world(immediately, boundPrime, unmarked, readyConsumer),
			want{Action: DeleteConsumer},
			"",
		},
		"and waits until it is gone": {
			world(immediately, boundPrime, unmarked, withConsumer(0, goingSince(0))),
			want{Action: Wait},
			"",
		},
		"a consumer on a dead node is explained": {
			world(immediately, boundPrime, withConsumer(0, goingSince(time.Hour))),
			want{Wait, late, v1alpha1.ReasonMoverLost},
			"Node a",
		},
		"then its volume is marked": {
			world(immediately, boundPrime, unmarked),
			want{Action: MarkScratch},
			"",
		},
		"then a mover starts":                        {world(immediately, boundPrime), want{Action: StartMover}, ""},
		"a volume of a class that deletes is marked": {world(boundPrime, unmarked), want{Action: MarkScratch}, ""},
		"a volume made by hand is released": {
			world(boundPrime, retained, madeByHand),
			capture(ReleaseVolume),
			"pv-1",
		},
		"a volume that was free is released": {world(boundPrime, free), capture(ReleaseVolume), "claimRef"},
		"even one that was marked by an older version": {
			world(boundPrime, freeToDelete, runningMover),
			capture(ReleaseVolume),
			"",
		},
		"even one that is filled":           {world(filledPrime, freeToDelete), capture(ReleaseVolume), ""},
		"then the next prime is thought of": {world(boundPrime, releasing), want{Action: RememberPrime}, ""},
		"but not before the consumer's node is known": {
			world(immediately, boundPrime, releasing, newConsumer),
			want{Action: Wait},
			"",
		},
		"then its mover goes": {
			world(boundPrime, releasing, knowsCapture, runningMover),
			capture(DeleteMover),
			"",
		},
		"then its consumer goes": {
			world(immediately, boundPrime, releasing, knowsCapture, readyConsumer),
			capture(DeleteConsumer),
			"",
		},
		"then its prime goes": {
			world(boundPrime, releasing, knowsCapture),
			capture(DeletePrime),
			"",
		},
		"a released prime is waited for": {world(deletingPrime, releasing, knowsCapture), capture(Wait), ""},
		"a volume that was freed already is no theft": {
			world(boundPrime, releasing, knowsCapture, unclaimed),
			capture(DeletePrime),
			"",
		},
		"the next prime waits for its time":    {world(backsOff), capture(Wait), "12:00:10"},
		"and then is made":                     {world(waitedLong), want{Action: CreatePrime}, ""},
		"a class that waits needs no back-off": {world(immediately, knowsCapture), want{Action: CreatePrime}, ""},
		"an abandoned volume is marked first": {
			world(boundPrime, unmarked, deleting),
			want{Action: MarkScratch},
			"",
		},
		"an abandoned volume is released first": {world(boundPrime, free, deleting), want{Action: ReleaseVolume}, ""},
		"one of a claim that was bound elsewhere is too": {
			world(boundPrime, free, boundElsewhere), want{ReleaseVolume, "False", v1alpha1.ReasonBoundElsewhere}, "",
		},
		"one of a prime that somebody deletes is too": {world(deletingPrime, free), want{Action: ReleaseVolume}, ""},
		"one of a prime beside a claim that is filled is too": {
			world(boundToOurs, toldOfSuccess, boundPrime, free),
			want{Action: ReleaseVolume},
			"",
		},
		"then the pods of that prime go": {
			world(boundToOurs, toldOfSuccess, boundPrime, runningMover),
			want{Action: DeleteMover},
			"",
		},
		"a prime without an owner is foreign": {
			world(boundPrime, orphanedPrime),
			want{Wait, "False", v1alpha1.ReasonPrimeConflict},
			"Delete it",
		},
		"no mover starts beside an old attachment": {
			world(boundPrime, attachedTo("a", 0)),
			want{Action: Wait},
			"",
		},
		"a node that does not let go is named": {
			world(boundPrime, attachedTo("a", time.Hour)),
			want{Wait, late, v1alpha1.ReasonVolumeAttached},
			"VolumeAttachment csi-a",
		},
		"nor does the next after a failure": {
			world(failedBefore(false, noon.Add(-time.Minute)), attachedTo("a", 0)),
			want{Wait, late, v1alpha1.ReasonVolumeAttached},
			"node a",
		},
		"the consumer's attachment hinders no mover": {
			world(immediately, boundPrime, consumed, attachedTo("a", 0)),
			want{Action: StartMover},
			"",
		},
		"one to another node does": {
			world(immediately, boundPrime, consumed, attachedTo("b", 0)),
			want{Action: Wait},
			"",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := Decide(c.in)
			if diff := cmp.Diff(c.want, want{d.Action, d.Status, d.Reason}); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
			if !strings.Contains(d.Message, c.says) {
				t.Errorf("message %q does not say %q", d.Message, c.says)
			}
		})
	}
}

func primeNode(s *State)      { s.Prime.Annotations[v1alpha1.AnnotationSelectedNode] = "a" }
func orphanedPrime(s *State)  { s.Prime.OwnerReferences = nil }
func otherPlacement(s *State) { s.Source.Spec.Mover.NodeSelector = map[string]string{"disk": "fast"} }

// patched applies a merge patch to a volume, as the API server does.
func patched(t *testing.T, v *corev1.PersistentVolume, patch []byte) *corev1.PersistentVolume {
	t.Helper()
	var p struct {
		Metadata struct {
			ResourceVersion string             `json:"resourceVersion"`
			Annotations     map[string]*string `json:"annotations"`
		} `json:"metadata"`
		Spec map[string]json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(patch, &p); err != nil {
		t.Fatal(err)
	}
	if p.Metadata.ResourceVersion != v.ResourceVersion {
		t.Errorf("the patch is guarded by resourceVersion %q", p.Metadata.ResourceVersion)
	}
	next := v.DeepCopy()
	for name, value := range p.Metadata.Annotations {
		if value == nil {
			delete(next.Annotations, name)
		} else {
			next.Annotations[name] = *value
		}
	}
	if policy, ok := p.Spec["persistentVolumeReclaimPolicy"]; ok {
		if err := json.Unmarshal(policy, &next.Spec.PersistentVolumeReclaimPolicy); err != nil {
			t.Fatal(err)
		}
	}
	if ref, ok := p.Spec["claimRef"]; ok && string(ref) == "null" {
		next.Spec.ClaimRef = nil
	}
	return next
}

// A release ends with the volume as it was found, also where an older version of ours had
// marked it, and each step waits for what it needs.
func TestReleaseGivesTheVolumeBackAsItWas(t *testing.T) {
	for name, policy := range map[string]corev1.PersistentVolumeReclaimPolicy{
		"retained": corev1.PersistentVolumeReclaimRetain, "deleted": corev1.PersistentVolumeReclaimDelete,
	} {
		t.Run(name, func(t *testing.T) {
			s := world(boundPrime, free)
			s.PrimeVolume.Spec.PersistentVolumeReclaimPolicy = policy
			s.PrimeVolume.Status.Phase = corev1.VolumeBound
			release(t, s, policy)
		})
	}
	t.Run("marked by an older version", func(t *testing.T) {
		s := world(boundPrime, freeToDelete)
		s.PrimeVolume.Annotations[v1alpha1.AnnotationReclaimPolicy] = string(corev1.PersistentVolumeReclaimRetain)
		release(t, s, corev1.PersistentVolumeReclaimRetain)
	})
}

func release(t *testing.T, s State, policy corev1.PersistentVolumeReclaimPolicy) {
	t.Helper()
	patch, err := ReleasePatch(s.PrimeVolume, s.Claim)
	if err != nil {
		t.Fatal(err)
	}
	v := patched(t, s.PrimeVolume, patch)
	if v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain || scratchFor(v, s.Claim) ||
		StepOf(v) != ClearClaimRef {
		t.Fatalf("released: %+v", v)
	}
	v.Status.Phase = corev1.VolumeReleased
	if patch, err = ClearClaimRefPatch(v); err != nil {
		t.Fatal(err)
	}
	v = patched(t, v, patch)
	if step := StepOf(v); step != NoStep || v.Spec.ClaimRef != nil {
		t.Fatalf("next step %q of a volume that a provisioner may delete", step)
	}
	v.Status.Phase = corev1.VolumeAvailable
	if step := StepOf(v); step != RestorePolicy {
		t.Fatalf("next step %q", step)
	}
	if patch, err = RestorePolicyPatch(v); err != nil {
		t.Fatal(err)
	}
	v = patched(t, v, patch)
	left := v.DeepCopy().Annotations
	delete(left, v1alpha1.AnnotationProvisionedBy)
	if v.Spec.PersistentVolumeReclaimPolicy != policy || len(left) > 0 || StepOf(v) != NoStep {
		t.Errorf("left behind: policy %s, annotations %v", v.Spec.PersistentVolumeReclaimPolicy, left)
	}
}

// Only a record of ours on the volume makes a claim ours to delete, and a volume that has
// none is reported and kept.
func TestOnlyARecordMakesAPrimeOurs(t *testing.T) {
	s := world(boundPrime)
	cases := map[string]struct {
		change func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume)
		spent  bool
	}{
		"a prime of ours": {func(*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {}, true},
		"a volume without a record": {
			func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { unmarkVolume(v) },
			false,
		},
		"another name": {
			func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) { c.Name = "data" },
			false,
		},
		"another claim's label": {func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) {
			c.Labels[v1alpha1.LabelClaimUID] = "x"
		}, false},
		"no label": {func(c *corev1.PersistentVolumeClaim, _ *corev1.PersistentVolume) { c.Labels = nil }, false},
		"a volume of another": {
			func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) { v.Spec.ClaimRef.UID = "x" },
			false,
		},
		"a volume that was rebound": {func(_ *corev1.PersistentVolumeClaim, v *corev1.PersistentVolume) {
			v.Spec.ClaimRef.UID, v.Annotations = claimUID, map[string]string{v1alpha1.AnnotationPopulatedFor: claimUID}
		}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			prime, v := s.Prime.DeepCopy(), s.PrimeVolume.DeepCopy()
			c.change(prime, v)
			if got := SpentPrime(prime, v); got != c.spent {
				t.Errorf("ours to delete: %v", got)
			}
		})
	}
	if SpentPrime(s.Prime, nil) {
		t.Error("a claim without a volume has no record")
	}
}
