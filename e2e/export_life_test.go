// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// slowly makes an export last, so that something can happen to it.
func slowly(e *v1alpha1.S3Export) {
	e.Spec.Transfer = v1alpha1.ExportTransfer{Bandwidth: "1Mi", Parallelism: 1}
}

// large is a claim in use with one file that is sent in parts.
func large(s *story.Story) *corev1.PersistentVolumeClaim {
	s.T.Helper()
	claim := s.Claim(story.Claim{Size: "96Mi"})
	s.User("user", claim.Name, "write", story.MountPath+"/large.bin", fmt.Sprint(40*story.MiB))
	return claim
}

// uploading waits until an export has a multipart upload open.
func uploading(s *story.Story, b *story.Bucket) {
	s.T.Helper()
	s.Await("an upload to be open", func() error {
		if len(b.Uploads()) == 0 {
			return errors.New("there is none")
		}
		return nil
	})
}

// An export that is deleted in mid-run goes with its pods and its uploads, also by a foreground deletion,
// in which its pods are garbage.
func TestExportDeletedInMidRun(t *testing.T) {
	for name, policy := range map[string]string{"background": "Background", "foreground": "Foreground"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			bucket := s.Bucket(story.MinIO)
			e := s.Export("run", large(s).Name, bucket, slowly)
			s.ExportMover(e)
			uploading(s, bucket)
			s.DeleteAs(e, policy)
			s.ExportGone(e)
			if keys := bucket.Uploads(); len(keys) > 0 {
				t.Errorf("uploads of %q are open", keys)
			}
			if held := bucket.Keys(""); len(held) > 0 {
				t.Errorf("the bucket holds %q", held)
			}
		})
	}
}

// A suspended export has no pod and goes on where it was; one that is killed, too. No part is sent twice
// but those that were under way.
func TestExportInterrupted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"TransferFailed"}
	bucket := s.Bucket(story.MinIO)
	claim := large(s)
	e := s.Export("run", claim.Name, bucket, slowly)
	first := s.ExportMover(e)
	uploading(s, bucket)
	s.Kill(first.UID, "mover")
	s.ExportTells(e, v1alpha1.ExportPending, "TransferFailed", "tried again")
	s.Gone(first)
	second := s.ExportMover(e)
	story.Update(s, e, func(e *v1alpha1.S3Export) { e.Spec.Suspend = true })
	s.ExportTells(e, v1alpha1.ExportSuspended, "Suspended", "spec.suspend is true")
	s.Gone(second)
	story.Update(s, e, func(e *v1alpha1.S3Export) {
		e.Spec.Suspend, e.Spec.Transfer = false, v1alpha1.ExportTransfer{}
	})
	done := s.Exported(e)
	if st := done.Status; st.Attempts != 3 || st.Objects != 1 || st.Bytes != 40*story.MiB {
		t.Errorf("the status says %+v", st)
	}
	s.WaitForEvent(e, "ExportStarted", "Exporting claim")
	s.WaitForEvent(e, "Exported", "1 objects")
}

// A manager that is replaced in mid-run ends nothing: the one mover there is brings the export to its end.
// Then it is deleted by its age, and what was exported stays.
func TestExportOutlivesTheManager(t *testing.T) {
	s := story.Begin(t, world) // not parallel: the manager is everybody's
	bucket := s.Bucket(story.VersityGW)
	claim := large(s)
	e := s.Export("run", claim.Name, bucket, func(e *v1alpha1.S3Export) {
		e.Spec.Transfer.Bandwidth, e.Spec.TTLSecondsAfterFinished = "4Mi", new(int32(3))
	})
	mover := s.ExportMover(e)
	s.RestartManager()
	s.Await("the export to go", func() error {
		now := e.DeepCopy()
		if err := s.Find(now); err == nil {
			return fmt.Errorf("it is %s, attempts %d", now.Status.Phase, now.Status.Attempts)
		}
		return nil
	})
	s.ExportGone(e)
	prefix := s.Namespace + "/" + claim.Name + "/" + string(e.UID) + "/"
	if held := bucket.Holds(prefix); held["large.bin"] != 40*story.MiB {
		t.Errorf("the bucket holds %v", held)
	}
	if uid := mover.UID; uid == "" {
		t.Error("there was no mover")
	}
}

// A claim that one pod alone may use is exported when that pod has ended.
func TestExportOfOnePodsClaim(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"ClaimInUse"}
	bucket := s.Bucket(story.VersityGW)
	claim := s.Claim(story.Claim{Mode: corev1.ReadWriteOncePod})
	user := s.User("user", claim.Name, "write", story.MountPath+"/f", "10")
	e := s.Export("run", claim.Name, bucket)
	s.ExportTells(e, v1alpha1.ExportPending, "ClaimInUse", "Pod user uses claim")
	s.Delete(user)
	s.Exported(e)
}

// An export in a namespace that is being deleted does not hold it.
func TestExportInANamespaceThatGoes(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{
		"UploadsLeft", "Interrupted", "TransferFailed", "ClaimReplaced", "ClaimNotBound", "CredentialsMissing",
	}
	bucket := s.Bucket(story.MinIO)
	e := s.Export("run", large(s).Name, bucket, slowly)
	s.ExportMover(e)
	uploading(s, bucket)
	s.NamespaceGone()
	bucket.AbortUploads()
}
