// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/provisioner"
)

// want is what a case pins down of a decision; Says must be in the message.
type want struct {
	Action Action
	Status corev1.ConditionStatus
	Reason v1alpha1.Reason
}

// decideCase is a world, and what is decided of it.
type decideCase struct {
	in   State
	want want
	says string
}

// late tells that something is waited for.
const late = corev1.ConditionUnknown

func TestDecide(t *testing.T) {
	for _, cases := range []map[string]decideCase{decisionsWithoutVolume(), decisionsOfMovers()} {
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
}

// decisionsWithoutVolume are of claims and primes that have no volume yet.
func decisionsWithoutVolume() map[string]decideCase {
	return map[string]decideCase{
		"a new claim gets a prime": {world(), want{Action: CreatePrime}, ""},
		"a claim without a source waits for it": {
			world(noSource),
			want{Wait, late, v1alpha1.ReasonSourceNotFound},
			"Create it",
		},
		"a source whose export is not found is waited for": {
			world(unresolved), want{Wait, late, v1alpha1.ReasonExportNotFound}, "kubectl describe s3source",
		},
		"it may not have been looked at when the claim is new": {world(unresolved, newClaim), want{Action: Wait}, ""},
		"so it is when the data is there, which may be another": {
			world(filledPrime, unresolved), want{Wait, late, v1alpha1.ReasonExportNotFound}, "",
		},
		"a free volume may fit a claim that is new": {world(unsearched, newClaim), want{Action: Wait}, ""},
		"a free volume may still fit": {
			world(unsearched),
			want{Wait, late, v1alpha1.ReasonProvisioning},
			"free volume",
		},
		"a late claim that is filled now is not searched for": {
			world(unsearched, lateClass, bindNow),
			want{Action: CreatePrime},
			"",
		},
		"a new claim's source may come a moment later": {world(noSource, newClaim), want{Action: Wait}, ""},
		"a new claim's class may come a moment later":  {world(noClass, newClaim), want{Action: Wait}, ""},
		"a claim without a class waits for one": {
			world(noClass),
			want{Wait, late, v1alpha1.ReasonStorageClassNotFound},
			"fast",
		},
		"a claim that names no class waits for a default": {
			world(unsetClass),
			want{Wait, late, v1alpha1.ReasonStorageClassUnset},
			"default",
		},
		"a claim that wants no provisioning is refused": {
			world(emptyClass),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClass},
			"storageClassName",
		},
		"a provisioner that is not CSI is refused": {
			world(noCSI),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClass},
			"CSIDriver",
		},
		"volumes made by hand are refused": {
			world(class(storagev1.VolumeBindingImmediate, provisioner.None)),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClass},
			"by hand",
		},
		"a built-in provisioner is refused": {
			world(class(storagev1.VolumeBindingImmediate, "kubernetes.io/glusterfs")),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClass},
			"built in",
		},
		"gp2 of EKS is populated": {
			world(class(storagev1.VolumeBindingImmediate, "kubernetes.io/aws-ebs")),
			want{CreatePrime, "", ""},
			"",
		},
		"a claim with a selector is being restored": {
			world(selector),
			want{Wait, late, v1alpha1.ReasonLeftAlone},
			"spec.selector",
		},
		"and stays so when its volume is there": {
			world(selector, boundElsewhere),
			want{Wait, late, v1alpha1.ReasonLeftAlone},
			"free",
		},
		"a claim restored with its volume is left alone": {
			world(boundElsewhere, preset),
			want{Wait, late, v1alpha1.ReasonLeftAlone},
			"as a restore does",
		},
		"one of another life that was free is no restore": {
			world(
				boundElsewhere,
				filledInAnotherLife,
				matched,
			), want{Wait, "False", v1alpha1.ReasonBoundElsewhere}, "was not filled from its source",
		},
		"a volume that was filled in another life too": {
			world(boundElsewhere, filledInAnotherLife),
			want{Wait, late, v1alpha1.ReasonLeftAlone},
			"",
		},
		"a source of another namespace is refused": {
			world(foreignRef),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClaim},
			"dataSourceRef.namespace",
		},
		"a device of a whole prefix is refused": {
			world(blockMode),
			want{Wait, "False", v1alpha1.ReasonUnsupportedClaim},
			"exactly one object",
		},
		"a growing claim waits for the inventory": {
			world(growing),
			want{Wait, late, v1alpha1.ReasonInventoryPending},
			"models",
		},
		"admission lets a claim grow": {
			world(growTo),
			want{Wait, late, v1alpha1.ReasonInventoryPending},
			"models",
		},
		"a growing claim with an inventory gets a prime": {world(growing, inventory), want{Action: CreatePrime}, ""},
		"a late class waits for a consumer": {
			world(lateClass),
			want{Wait, late, v1alpha1.ReasonWaitForFirstConsumer},
			"s3populator.io/bind=Immediate",
		},
		"a late class with a node gets a prime":            {world(lateClass, claimNode), want{Action: CreatePrime}, ""},
		"a late class does not wait when told not to":      {world(lateClass, bindNow), want{Action: CreatePrime}, ""},
		"an unbound prime is waited for silently at first": {world(withPrime), want{Action: Wait}, ""},
		"an unbound prime is explained later": {
			world(oldPrime),
			want{Wait, late, v1alpha1.ReasonProvisioning},
			"s3prime-" + claimUID,
		},
		"a prime that lost its node frees the claim's": {
			world(lateClass, claimNode, primeLostNode),
			want{Action: ReleaseNode},
			"node a",
		},
		"a prime that lost its node gets the new one": {
			world(lateClass, otherNode, primeLostNode),
			want{Action: SelectNode},
			"",
		},
		"a prime's node is never overwritten": {
			world(lateClass, otherNode, primeOnNode),
			want{Action: Wait},
			"",
		},
		"a foreign object under the prime's name is reported": {
			world(foreignPrime),
			want{Wait, "False", v1alpha1.ReasonPrimeConflict},
			"Delete it",
		},
		"the consumer of an earlier prime does not keep a foreign one that was deleted": {
			world(foreignPrime, withConsumer(0)),
			want{DeleteConsumer, "False", v1alpha1.ReasonPrimeConflict},
			"Delete it",
		},
	}
}
