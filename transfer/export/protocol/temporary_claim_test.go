// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The temporary claim is large enough, of the right kind, and has nothing of the user's claim.
func TestTemporaryClaim(t *testing.T) {
	t.Parallel()
	s := world(by(snapshotOf), snapshotted(ready), access(corev1.ReadWriteOncePod), func(s *State) {
		s.Claim.Labels = map[string]string{"export": "nightly"}
		s.Claim.Annotations = map[string]string{v1alpha1.AnnotationExportTo: "s3://b"}
	})
	c := TemporaryClaim(s)
	if got := c.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != "2Gi" {
		t.Errorf("it requests %s, the snapshot 2Gi", got.String())
	}
	if c.Labels["export"] != "" || len(c.Annotations) > 0 || c.Spec.AccessModes[0] != corev1.ReadWriteOnce ||
		*c.Spec.StorageClassName != "fast" || c.Spec.DataSource.Name != c.Name ||
		*c.Spec.DataSource.APIGroup != SnapshotGroup {
		t.Errorf("it is %+v", c)
	}
	if at := asOf(c); !at.Equal(now.Add(-time.Second)) {
		t.Errorf("its content is as of %s", at)
	}
	if owner := c.OwnerReferences; len(owner) != 1 || owner[0].UID != "e-1" || c.Labels[v1alpha1.LabelClaimUID] != "c-1" {
		t.Errorf("it is owned by %+v, labels %v", owner, c.Labels)
	}
	s = world(by(snapshotOf), snapshotted(ready), access(corev1.ReadOnlyMany), func(s *State) {
		s.Claim.Status.Capacity[corev1.ResourceStorage] = resource.MustParse("3Gi")
		s.Export.Spec.StorageClassName = "copies"
	})
	c = TemporaryClaim(s)
	if got := c.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != "3Gi" ||
		c.Spec.AccessModes[0] != corev1.ReadOnlyMany || *c.Spec.StorageClassName != "copies" {
		t.Errorf("it is %+v", c.Spec)
	}
	c = TemporaryClaim(world(by(cloneOf)))
	if c.Spec.DataSource.Kind != "PersistentVolumeClaim" || c.Spec.DataSource.Name != "data" ||
		c.Spec.DataSource.APIGroup != nil {
		t.Errorf("a clone is of %+v", c.Spec.DataSource)
	}
}

// The mover reads the temporary claim, anywhere, as the user of the pod that uses the other one; the manifest is
// the other one's.
func TestMoverOfATemporaryClaim(t *testing.T) {
	t.Parallel()
	s := world(by(snapshotOf), snapshotted(ready), copied(isBound), onVolume())
	pod, err := Mover(s, Options{Defaults: defaults})
	if err != nil {
		t.Fatal(err)
	}
	request := strings.Join(pod.Spec.Containers[0].Args, "")
	for _, want := range []string{`"claimUID":"c-1"`, `"temporary":"t-1"`, `"asOf":"2026-11-26T11:59:59Z"`} {
		if !strings.Contains(request, want) {
			t.Errorf("the mover is asked for %s, want %s", request, want)
		}
	}
	var mounts []*corev1.PersistentVolumeClaimVolumeSource
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			mounts = append(mounts, v.PersistentVolumeClaim)
		}
	}
	if len(mounts) != 1 || mounts[0].ClaimName != "s3export-e-1" || !mounts[0].ReadOnly || pod.Spec.Affinity != nil ||
		*pod.Spec.SecurityContext.RunAsUser != 1000 || pod.Spec.SecurityContext.FSGroup != nil {
		t.Errorf("the pod is %+v", pod.Spec)
	}
	if pod.Annotations[v1alpha1.AnnotationTemporaryUID] != "t-1" || pod.Annotations[v1alpha1.AnnotationClaimUID] != "c-1" {
		t.Errorf("its annotations are %v", pod.Annotations)
	}
	c, err := Consumer(s, Options{Defaults: defaults})
	if err != nil || c.Spec.Volumes[0].PersistentVolumeClaim.ClaimName != "s3export-e-1" ||
		c.Spec.SecurityContext.FSGroup != nil || *c.Spec.SecurityContext.RunAsUser != 1000 || len(c.OwnerReferences) != 1 {
		t.Errorf("the consumer is %+v, error %v", c, err)
	}
}
