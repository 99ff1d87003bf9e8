// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/class"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/story"
)

// cluster makes an object that has no namespace, for as long as the story lasts.
func cluster(s *story.Story, o client.Object) {
	s.T.Helper()
	s.Create(o)
	s.T.Cleanup(func() { s.Remove(o) })
}

func snapshotted(className string) func(*v1alpha1.S3Export) {
	return func(e *v1alpha1.S3Export) {
		e.Spec.Consistency, e.Spec.VolumeSnapshotClassName = v1alpha1.ConsistencySnapshot, className
	}
}

func cloned(e *v1alpha1.S3Export) { e.Spec.Consistency = v1alpha1.ConsistencyClone }

// pairOf are the numbers that an export has of a pair of files, see probe pair.
func pairOf(s *story.Story, b *story.Bucket, prefix string) (first, second int) {
	s.T.Helper()
	var numbers [2]int
	for i, name := range []string{"first", "second"} {
		n, err := strconv.Atoi(strings.TrimLeft(b.Text(prefix+name), "0"))
		if err != nil {
			s.T.Fatalf("object %s: %v", name, err)
		}
		numbers[i] = n
	}
	return numbers[0], numbers[1]
}

// The example of a snapshot is followed while a pod goes on writing two files in turn: they are of one moment. The
// class of the temporary claim waits for a pod.
func TestExportOfASnapshot(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	cluster(s, class.Snapshot("csi-snapshots", corev1.PersistentVolumeReclaimDelete))
	cluster(s, class.Storage(
		"csi-copies", storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete, nil,
	))
	bucket := s.Bucket(story.MinIO)
	claim := s.Claim(story.Claim{Name: "postgres"})
	writer := s.Busy("writer", claim.Name, "pair", story.MountPath)
	s.Await("both files to be written", func() error {
		if found := s.Output("look", claim.Name, "sha256", story.MountPath); strings.Count(found, `"size":20,`) < 2 {
			return fmt.Errorf("there are %s", found)
		}
		return nil
	})
	s.Keys("s3-writer", "access_key", "secret_key", bucket)
	apply(s, story.Site{Bucket: bucket}, []string{"export-snapshot.yaml"})
	e := s.Exported(&v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "postgres-1"}})
	first, second := pairOf(s, bucket, e.Status.Prefix)
	if first != second && first != second+1 || e.Status.ChangedFiles > 0 {
		t.Errorf("the files are of numbers %d and %d, and %d changed", first, second, e.Status.ChangedFiles)
	}
	if e.Status.ClaimUID != string(claim.UID) || e.Status.Objects != 2 {
		t.Errorf("the status says %+v", e.Status)
	}
	s.NothingTemporary()
	s.Delete(writer)
}

// A claim that one pod alone may use is exported while it is in use, by a clone and by a snapshot of the default
// class; the next run copies what has not changed, and what has is read.
func TestExportOfOnePodsClaimInUse(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	usual := class.Snapshot(s.Namespace, corev1.PersistentVolumeReclaimDelete)
	usual.SetAnnotations(map[string]string{"snapshot.storage.kubernetes.io/is-default-class": "true"})
	cluster(s, usual)
	bucket := s.Bucket(story.VersityGW)
	claim := s.Claim(story.Claim{Mode: corev1.ReadWriteOncePod, Size: "64Mi"})
	user := s.User("user", claim.Name, "odd", story.MountPath)
	first := s.Exported(s.Export("clone", claim.Name, bucket, cloned))
	second := s.Exported(s.Export("snapshot", claim.Name, bucket, snapshotted("")))
	if st := second.Status; st.Objects != first.Status.Objects || st.Objects < 20 || st.CopiedObjects < 15 ||
		st.ManifestDigest != first.Status.ManifestDigest {
		t.Errorf("the clone was exported as %+v, the snapshot as %+v", first.Status, st)
	}
	third := s.Exported(
		s.Export("rehearsed", claim.Name, bucket, cloned, func(e *v1alpha1.S3Export) { e.Spec.DryRun = true }),
	)
	if third.Status.Objects != first.Status.Objects {
		t.Errorf("a dry run did %+v", third.Status)
	}
	s.NothingTemporary()
	s.Delete(user)
}

// An export that reads a snapshot and is suspended, goes on, and is deleted in mid-run leaves nothing each time.
func TestExportOfASnapshotEnded(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{"Interrupted"}
	cluster(s, class.Snapshot(s.Namespace, corev1.PersistentVolumeReclaimDelete))
	bucket := s.Bucket(story.MinIO)
	e := s.Export("run", large(s).Name, bucket, snapshotted(s.Namespace), slowly)
	mover := s.ExportMover(e)
	uploading(s, bucket)
	story.Update(s, e, func(e *v1alpha1.S3Export) { e.Spec.Suspend = true })
	s.ExportTells(e, v1alpha1.ExportSuspended, "Suspended", "spec.suspend is true")
	s.Gone(mover)
	s.NothingTemporary()
	story.Update(s, e, func(e *v1alpha1.S3Export) { e.Spec.Suspend = false })
	s.ExportMover(e)
	uploading(s, bucket)
	s.Delete(e)
	s.ExportGone(e)
	s.NothingTemporary()
}

// What is wrong with classes is told, and such an export can be deleted. What a driver says is told, too, and the
// export goes on when that is over. Nothing is left.
func TestExportOfASnapshotThatCannotBe(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{
		"SnapshotClassNotFound", "UnsupportedSnapshotClass", "UnsupportedStorageClass", "SnapshotFailed", "Provisioning",
	}
	kept, good := s.Namespace+"-kept", s.Namespace
	cluster(s, class.Snapshot(kept, corev1.PersistentVolumeReclaimRetain))
	cluster(s, class.Snapshot(good, corev1.PersistentVolumeReclaimDelete))
	bucket := s.Bucket(story.VersityGW)
	claim := s.Claim(story.Claim{})
	s.Output("fill", claim.Name, "write", story.MountPath+"/f", "10")
	full := s.Disturb(fault.Rule{Method: fault.CreateSnapshot, Fail: codes.ResourceExhausted, Message: "the pool is full"})
	retained := func(e *v1alpha1.S3Export) { cloned(e); e.Spec.StorageClassName = story.ImmediateRetain }
	for name, tt := range map[string]struct {
		change       func(*v1alpha1.S3Export)
		reason, says string
	}{
		"absent": {
			snapshotted("absent"),
			"SnapshotClassNotFound", "spec.volumeSnapshotClassName: there is no VolumeSnapshotClass absent",
		},
		"kept":     {snapshotted(kept), "UnsupportedSnapshotClass", "deletionPolicy Retain"},
		"retained": {retained, "UnsupportedStorageClass", "spec.storageClassName: StorageClass " + story.ImmediateRetain},
	} {
		e := s.Export(name, claim.Name, bucket, tt.change)
		s.ExportTells(e, v1alpha1.ExportPending, tt.reason, tt.says)
		s.Delete(e)
		s.ExportGone(e)
	}
	e := s.Export("full", claim.Name, bucket, snapshotted(good))
	s.ExportTells(e, v1alpha1.ExportPending, "SnapshotFailed", "the pool is full")
	s.Undisturb(full)
	s.Exported(e)
	fire := s.Disturb(fault.Rule{Method: fault.CreateVolume, Fail: codes.Internal, Message: "the array is on fire"})
	e = s.Export("burning", claim.Name, bucket, cloned)
	s.ExportTells(e, v1alpha1.ExportPending, "Provisioning", "the array is on fire")
	s.Undisturb(fire)
	s.Exported(e)
	s.NothingTemporary()
}
