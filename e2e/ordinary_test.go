// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/s3populator/s3populator/e2e/csi/class"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/story"
)

// A populated volume is one like any other: it grows, it is cloned, and a snapshot of it
// restores what the bucket held.
func TestOrdinaryVolume(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 12))
	s.Source("source", bucket)
	claim, volume := s.Bound(s.Claim(story.Claim{Source: "source"}).Name)

	// This machine's kernel grows a file system only where it is not mounted, and the mover's
	// mount may outlive its pod for a moment.
	s.Calls(func(n map[string]fault.Count) bool {
		return n[fault.NodeUnstage].Calls > 0 && n[fault.NodeUnstage].Running == 0
	})
	grown := resource.MustParse("64Mi")
	story.Update(
		s,
		claim,
		func(c *corev1.PersistentVolumeClaim) { c.Spec.Resources.Requests[corev1.ResourceStorage] = grown },
	)
	s.Await("the volume to have grown", func() error { // A mount that came first would have to be undone.
		if err := s.Find(volume); err != nil {
			return err
		}
		if have := volume.Spec.Capacity[corev1.ResourceStorage]; have.Cmp(grown) < 0 {
			return fmt.Errorf("it has %s", have.String())
		}
		return nil
	})
	s.AssertContent(s.Reader(claim), bucket.Under("")) // its mount lets the file system follow
	s.Await("the claim to have grown", func() error {
		if err := s.Find(claim); err != nil {
			return err
		}
		if have := claim.Status.Capacity[corev1.ResourceStorage]; have.Cmp(grown) < 0 {
			return fmt.Errorf("it has %s", have.String())
		}
		return nil
	})

	snapshots := class.Snapshot(s.Namespace, corev1.PersistentVolumeReclaimDelete)
	s.Create(snapshots)
	t.Cleanup(func() { s.Remove(snapshots) })
	snapshot := snapshotOf(s, claim, snapshots.GetName())
	for name, from := range map[string]corev1.TypedObjectReference{
		"restored": {APIGroup: new("snapshot.storage.k8s.io"), Kind: "VolumeSnapshot", Name: snapshot.GetName()},
		"cloned":   {Kind: "PersistentVolumeClaim", Name: claim.Name},
	} {
		copied := &corev1.PersistentVolumeClaim{Spec: story.Claim{Size: "64Mi"}.Spec()}
		copied.Name, copied.Namespace, copied.Spec.DataSourceRef = name, s.Namespace, &from
		s.Create(copied)
		s.AssertContent(s.Reader(copied), bucket.Under(""))
	}
	s.Delete(snapshot)
	s.Gone(snapshot)
}

func snapshotOf(s *story.Story, claim *corev1.PersistentVolumeClaim, snapshotClass string) *unstructured.Unstructured {
	snapshot := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
		"metadata": map[string]any{"name": "before", "namespace": s.Namespace},
		"spec": map[string]any{
			"volumeSnapshotClassName": snapshotClass,
			"source":                  map[string]any{"persistentVolumeClaimName": claim.Name},
		},
	}}
	s.Create(snapshot)
	s.Await("the snapshot to be ready", func() error {
		if err := s.Find(snapshot); err != nil {
			return err
		}
		if ready, _, _ := unstructured.NestedBool(snapshot.Object, "status", "readyToUse"); !ready {
			return fmt.Errorf("its status is %v", snapshot.Object["status"])
		}
		return nil
	})
	return snapshot
}
