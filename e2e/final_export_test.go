// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// leavingClaim is a claim with a file on it that asks to be exported before it goes.
type leavingClaim struct {
	*story.Story
	bucket *story.Bucket
	claim  *corev1.PersistentVolumeClaim
	volume string
}

func leave(s *story.Story, class, bucketName string) leavingClaim {
	s.T.Helper()
	bucket := s.Bucket(story.VersityGW)
	to := s.NewExport("unused", "data", bucket).Spec.Destination // With the Secret that it needs.
	name := bucket.Name
	if bucketName != "" {
		name = bucketName
	}
	claim := s.Claim(story.Claim{Class: class, Annotations: map[string]string{
		v1alpha1.AnnotationExportTo:       "s3://" + name + "/last",
		v1alpha1.AnnotationExportEndpoint: to.Endpoint, v1alpha1.AnnotationExportSecret: to.Credentials.SecretRef.Name,
		v1alpha1.AnnotationExportRunAs: "1000:2000", v1alpha1.AnnotationExportOnDelete: v1alpha1.ExportOnDelete,
	}})
	s.Output("fill", claim.Name, "write", story.MountPath+"/thesis.bin", "300000")
	l := leavingClaim{Story: s, bucket: bucket, claim: claim}
	s.Await("the claim to be held", func() error {
		now, err := l.now()
		if err == nil && !strings.Contains(strings.Join(now.Finalizers, " "), v1alpha1.FinalizerFinalExport) {
			err = fmt.Errorf("it has the finalizers %v", now.Finalizers)
		}
		l.volume = now.Spec.VolumeName
		return err
	})
	return l
}

func (l *leavingClaim) now() (*corev1.PersistentVolumeClaim, error) {
	c := &corev1.PersistentVolumeClaim{}
	return c, l.World.Client.Get(l.T.Context(), client.ObjectKeyFromObject(l.claim), c)
}

// begin deletes the claim and does not wait for it.
func (l *leavingClaim) begin() {
	l.T.Helper()
	l.Kubectl("-n", l.Namespace, "delete", "pvc", l.claim.Name, "--wait=false")
}

// tells waits until the claim, which must still be there, says why it does not go.
func (l *leavingClaim) tells(reason v1alpha1.Reason, text string) {
	l.T.Helper()
	l.Await("the claim to say "+string(reason), func() error {
		now, err := l.now()
		if err != nil {
			return err
		}
		for _, c := range now.Status.Conditions {
			if c.Type == v1alpha1.ConditionFinalExport && c.Reason == string(reason) && strings.Contains(c.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", now.Status.Conditions)
	})
}

// goes waits until the claim and the export claim are gone.
func (l *leavingClaim) goes() {
	l.T.Helper()
	l.Await("the claim to go", func() error {
		now, err := l.now()
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is %s with %v: %+v (%w)", now.Status.Phase, now.Finalizers, now.Status.Conditions, err)
		}
		c := &corev1.PersistentVolumeClaim{}
		c.Namespace, c.Name = l.Namespace, "s3export-"+string(l.claim.UID)
		if err := l.World.Client.Get(l.T.Context(), client.ObjectKeyFromObject(c), c); !apierrors.IsNotFound(err) {
			return errors.New("the export claim is there")
		}
		return nil
	})
}

// run is the S3Export.
func (l *leavingClaim) run() *v1alpha1.S3Export {
	l.T.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "final-" + string(l.claim.UID)}}
	if err := l.World.Client.Get(l.T.Context(), client.ObjectKeyFromObject(e), e); err != nil {
		l.T.Fatal(err)
	}
	return e
}

// exported asserts that what was on the volume is in the bucket, complete, under the name of the claim.
func (l *leavingClaim) exported() {
	l.T.Helper()
	e := l.run()
	if e.Status.Phase != v1alpha1.ExportSucceeded || !strings.HasPrefix(e.Status.Prefix, "last/"+l.Namespace+"/data/") {
		l.T.Errorf("the run ended with %+v", e.Status)
	}
	if files := l.bucket.Holds(e.Status.Prefix); files["thesis.bin"] != 300000 {
		l.T.Errorf("the bucket holds %v", files)
	}
	if len(l.bucket.Holds(e.Status.Prefix+".s3populator/manifest")) != 1 {
		l.T.Error("there is no manifest")
	}
}

// A claim that asks for it goes only after it was exported, and then its volume goes as its class says. While a
// pod uses it nothing happens.
func TestFinalExport(t *testing.T) {
	t.Parallel()
	for _, class := range []string{story.ImmediateDelete, story.ImmediateRetain} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			s := story.Begin(t, world)
			l := leave(s, class, "")
			user := s.User("user", l.claim.Name)
			l.begin()
			l.tells(v1alpha1.ReasonClaimInUse, "no pod")
			s.Delete(user)
			l.goes()
			l.exported()
			if class == story.ImmediateDelete {
				s.Await("the volume to be deleted", func() error {
					if s.Volume(l.volume, func(*corev1.PersistentVolume) error { return nil }) == nil {
						return errors.New("it is there")
					}
					return nil
				})
				return
			}
			s.Released(l.volume)
			l.asBefore()
		})
	}
}

// asBefore compares a volume that is kept with what it was, and lets it go.
func (l *leavingClaim) asBefore() {
	l.T.Helper()
	v := l.kept()
	if v.Annotations[v1alpha1.AnnotationExportedFor] != string(l.claim.UID) {
		l.T.Errorf("the volume has %v", v.Annotations)
	}
	l.Reclaim(v)
}

// kept is the volume when it was given back to the claim, with the policy of its class. Read live: that it is Released
// may have been seen before it was first taken.
func (l *leavingClaim) kept() *corev1.PersistentVolume {
	l.T.Helper()
	v := &corev1.PersistentVolume{}
	v.Name = l.volume
	l.Await("the volume to be given back", func() error {
		if err := l.Find(v); err != nil {
			return err
		}
		if v.Spec.ClaimRef == nil || v.Spec.ClaimRef.UID != l.claim.UID ||
			v.Annotations[v1alpha1.AnnotationFinalExport] != "" ||
			v.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			return fmt.Errorf(
				"it has policy %s, claimRef %+v and %v",
				v.Spec.PersistentVolumeReclaimPolicy,
				v.Spec.ClaimRef,
				v.Annotations,
			)
		}
		return nil
	})
	return v
}

// A bucket that is not there keeps claim and volume, and the claim says why, until its annotation is corrected.
func TestFinalExportFails(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonFinalExportFailed)}
	s.MayWarn = []string{"NoSuchBucket", "ExportFailed"}
	l := leave(s, story.ImmediateDelete, "no-such-bucket-"+s.Namespace)
	l.begin()
	l.tells(v1alpha1.ReasonFinalExportFailed, "NoSuchBucket")
	if text := s.Kubectl("-n", s.Namespace, "describe", "pvc", l.claim.Name); !strings.Contains(text, "NoSuchBucket") ||
		!strings.Contains(text, v1alpha1.AnnotationSkipFinalExport) {
		t.Errorf("kubectl describe does not say why, or how to go on:\n%s", text)
	}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: l.volume}}
	if err := s.Find(volume); err != nil ||
		volume.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("the volume is not kept (%v): its policy is %s", err, volume.Spec.PersistentVolumeReclaimPolicy)
	}
	s.Kubectl("-n", s.Namespace, "annotate", "pvc", l.claim.Name, "--overwrite",
		v1alpha1.AnnotationExportTo+"=s3://"+l.bucket.Name+"/last")
	l.goes()
	l.exported()
}

// The annotation that skips the export lets a claim go at any time, and its volume as its class says.
func TestFinalExportSkipped(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonFinalExportFailed), string(v1alpha1.ReasonFinalExportSkipped)}
	s.MayWarn = []string{"NoSuchBucket", "ExportFailed"}
	l := leave(s, story.ImmediateDelete, "no-such-bucket-"+s.Namespace)
	l.begin()
	l.tells(v1alpha1.ReasonFinalExportFailed, "NoSuchBucket")
	s.Kubectl("-n", s.Namespace, "annotate", "pvc", l.claim.Name, v1alpha1.AnnotationSkipFinalExport+"=true")
	l.goes()
	s.Await("the volume to be deleted", func() error {
		if s.Volume(l.volume, func(*corev1.PersistentVolume) error { return nil }) == nil {
			return errors.New("it is there")
		}
		return nil
	})
}

// A namespace that is deleted takes a claim along whose export cannot end.
func TestFinalExportNamespaceDeleted(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonFinalExportFailed), string(v1alpha1.ReasonFinalExportSkipped)}
	s.MayWarn = []string{"NoSuchBucket", "ExportFailed", string(v1alpha1.ReasonFinalExportRefused)}
	l := leave(s, story.ImmediateRetain, "no-such-bucket-"+s.Namespace)
	l.begin()
	l.tells(v1alpha1.ReasonFinalExportFailed, "NoSuchBucket")
	s.Kubectl("delete", "namespace", s.Namespace, "--wait=false")
	l.goes()
	s.Released(l.volume)
	s.Reclaim(l.kept())
}
