// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The PV controller would never bind such a volume to the claim, and after the hand-over there
// is no way back.
func TestAVolumeThatDoesNotFitIsNotHandedOver(t *testing.T) {
	cases := map[string]struct {
		change change
		says   string
	}{
		"a smaller one": {onVolume(func(v *corev1.PersistentVolume) {
			v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1023Mi")}
		}), "1023Mi"},
		"a device": {onVolume(func(v *corev1.PersistentVolume) {
			v.Spec.VolumeMode = new(corev1.PersistentVolumeBlock)
		}), "volumeMode"},
		"one of another attributes class": {onVolume(func(v *corev1.PersistentVolume) {
			v.Spec.VolumeAttributesClassName = new("gold")
		}), "gold"},
		"one that offers another access mode": {onVolume(func(v *corev1.PersistentVolume) {
			v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany}
		}), "ReadWriteOnce"},
		"one that lacks one of two access modes": {func(s *State) {
			s.Claim.Spec.AccessModes = append(s.Claim.Spec.AccessModes, corev1.ReadWriteMany)
		}, "ReadWriteMany"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := Decide(world(filledPrime, c.change))
			if d.Action != Wait || d.Reason != v1alpha1.ReasonRebindBlocked || !strings.Contains(d.Message, c.says) {
				t.Errorf("decision %+v, want one that says %s", d, c.says)
			}
		})
	}
	if d := Decide(world(filledPrime)); d.Action != Rebind {
		t.Errorf("one that fits: decision %+v", d)
	}
}

// Whatever a mover that is being deleted has said, nothing is decided by it before it is gone.
func TestAMoverThatGoesIsWaitedFor(t *testing.T) {
	for name, mover := range map[string]change{
		"while it runs":        runningMover,
		"when it is done":      doneMover,
		"when it failed":       retryMover,
		"when it is not asked": func(s *State) { otherSpec(s); runningMover(s) },
	} {
		t.Run(name, func(t *testing.T) {
			s := world(boundPrime, mover)
			goingSince(0)(s.Mover)
			if d := Decide(s); d.Action != Wait {
				t.Errorf("decision %+v", d)
			}
		})
	}
}
