// SPDX-License-Identifier: Apache-2.0

package story

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Claim describes a claim; only Source is needed.
type Claim struct {
	Name        string // default: data
	Source      string
	Class       string                            // default: ImmediateDelete
	Size        string                            // default: 32Mi
	Mode        corev1.PersistentVolumeAccessMode // default: ReadWriteOnce
	Block       bool                              // default: Filesystem
	Attributes  string                            // VolumeAttributesClass
	Annotations map[string]string
	Labels      map[string]string
}

// Spec is that of the claim, also for templates.
func (c Claim) Spec() corev1.PersistentVolumeClaimSpec {
	spec := corev1.PersistentVolumeClaimSpec{
		AccessModes:      []corev1.PersistentVolumeAccessMode{orElse(c.Mode, corev1.ReadWriteOnce)},
		StorageClassName: new(orElse(c.Class, ImmediateDelete)),
		Resources: corev1.VolumeResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(orElse(c.Size, "32Mi"))},
		},
	}
	if c.Source != "" {
		spec.DataSourceRef = &corev1.TypedObjectReference{
			APIGroup: new(v1alpha1.Group),
			Kind:     v1alpha1.KindS3Source,
			Name:     c.Source,
		}
	}
	if c.Block {
		spec.VolumeMode = new(corev1.PersistentVolumeBlock)
	}
	if c.Attributes != "" {
		spec.VolumeAttributesClassName = new(c.Attributes)
	}
	return spec
}

// Claim makes a claim.
func (s *Story) Claim(c Claim) *corev1.PersistentVolumeClaim {
	s.T.Helper()
	claim := s.NewClaim(c)
	s.Create(claim)
	return claim
}

// NewClaim is a claim that is not created yet.
func (s *Story) NewClaim(c Claim) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:        orElse(c.Name, "data"),
			Namespace:   s.Namespace,
			Annotations: c.Annotations,
			Labels:      c.Labels,
		},
		Spec: c.Spec(),
	}
}

// Refused asserts that a claim is not admitted, and that the answer contains a text.
func (s *Story) Refused(claim *corev1.PersistentVolumeClaim, says string) {
	s.T.Helper()
	err := s.World.Client.Create(s.T.Context(), claim)
	if err == nil || !strings.Contains(err.Error(), says) {
		s.T.Errorf("creating claim %s: got %v, want a refusal that says %q", claim.Name, err, says)
	}
}

// condition is the Populated condition of a claim; empty when it has none.
func condition(claim *corev1.PersistentVolumeClaim) corev1.PersistentVolumeClaimCondition {
	for _, c := range claim.Status.Conditions {
		if c.Type == v1alpha1.ConditionPopulated {
			return c
		}
	}
	return corev1.PersistentVolumeClaimCondition{}
}

// Bound waits until a claim is Bound, says so itself, and its prime is gone. A failure
// that the claim tells ends the wait at once.
func (s *Story) Bound(name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	s.T.Helper()
	return s.bound(name, errNever)
}

// Recovered is Bound for a claim that still tells a failure which was put right.
func (s *Story) Recovered(name string) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	s.T.Helper()
	return s.bound(name, errors.New("not yet"))
}

// bound wraps a failure that the claim tells in failed.
func (s *Story) bound(name string, failed error) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	s.T.Helper()
	claim, volume := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	s.Await(fmt.Sprintf("claim %s to be populated", name), func() error {
		if !seen(s.World.Seen, s.Namespace, name, claim) {
			return errors.New("it is not there")
		}
		c := condition(claim)
		switch {
		case c.Status == corev1.ConditionFalse:
			return fmt.Errorf("%w: it failed with %s: %s", failed, c.Reason, c.Message)
		case claim.Status.Phase != corev1.ClaimBound || c.Status != corev1.ConditionTrue:
			return fmt.Errorf("it is %s, Populated is %q %s: %s", claim.Status.Phase, c.Status, c.Reason, c.Message)
		case seen(s.World.Seen, s.Namespace, "s3prime-"+string(claim.UID), &corev1.PersistentVolumeClaim{}):
			return errors.New("it is populated, but its prime is still there")
		}
		return nil
	})
	volume.Name = claim.Spec.VolumeName // The watch of volumes may be behind that of claims.
	s.must("read the volume of claim "+name, s.Find(volume))
	if pods := s.pods(v1alpha1.RolePopulate, claim.UID); len(pods) > 0 {
		s.T.Errorf("claim %s is populated, but mover %s is still there", name, pods[0].Name)
	}
	return claim, volume
}

// Condition waits until a claim's condition has a reason, and returns it.
func (s *Story) Condition(claim, reason string) corev1.PersistentVolumeClaimCondition {
	s.T.Helper()
	return s.WaitForCondition(claim, reason, "")
}

// WaitForPhase waits until a claim has a phase, whoever gave it its volume.
func (s *Story) WaitForPhase(claim *corev1.PersistentVolumeClaim, phase corev1.PersistentVolumeClaimPhase) {
	s.T.Helper()
	s.Await(fmt.Sprintf("claim %s to be %s", claim.Name, phase), func() error {
		if err := s.Find(claim); err != nil {
			return err
		}
		if claim.Status.Phase != phase {
			return fmt.Errorf("it is %s", claim.Status.Phase)
		}
		return nil
	})
}

// WaitForCondition waits until a claim's condition has a reason and its message contains a text.
func (s *Story) WaitForCondition(claim, reason, text string) corev1.PersistentVolumeClaimCondition {
	s.T.Helper()
	var c corev1.PersistentVolumeClaimCondition
	s.Await(fmt.Sprintf("claim %s to tell %s %s", claim, reason, text), func() error {
		now := &corev1.PersistentVolumeClaim{}
		if !seen(s.World.Seen, s.Namespace, claim, now) {
			return errors.New("it is not there")
		}
		if c = condition(now); c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("Populated is %q %s: %s", c.Status, c.Reason, c.Message)
		}
		return nil
	})
	return c
}

func orElse[T ~string](s, fallback T) T {
	if s == "" {
		return fallback
	}
	return s
}

// Refusal is an error unless a claim would be refused with this text.
func (s *Story) Refusal(c Claim, says string) error {
	err := s.World.Client.Create(s.T.Context(), s.NewClaim(c), client.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), says) {
		return fmt.Errorf("creating claim %s: got %w, want a refusal that says %q", c.Name, err, says)
	}
	return nil
}

// Selected is an error unless a claim would be given a source when it is created.
func (s *Story) Selected(claim *corev1.PersistentVolumeClaim) error {
	tried := claim.DeepCopy()
	if err := s.World.Client.Create(s.T.Context(), tried, client.DryRunAll); err != nil {
		return err
	}
	if tried.Spec.DataSourceRef == nil {
		return errors.New("it is given no source")
	}
	return nil
}
