// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A release is not removed while a claim is exported before it goes, and goes on with that. Once it is removed no
// claim is held, and those that were can be deleted.
func TestUninstallReleases(t *testing.T) {
	s := story.Begin(t, world)
	s.MayWarn = append([]string{
		string(v1alpha1.ReasonFinalExportFailed), string(v1alpha1.ReasonFinalExportSkipped), "NoSuchBucket", "ExportFailed",
	}, oldLeader...)
	bucket := s.Bucket(story.VersityGW)
	stays, leaves := holds(s, bucket, "stays", bucket.Name), holds(s, bucket, "leaves", "no-bucket-of-this-name")
	helm(t, "upgrade", "--set", "release.patience=5s")
	works(t)
	s.Kubectl("-n", s.Namespace, "delete", "pvc", leaves.Name, "--wait=false")
	uninstall := func() (string, error) {
		return world.Helm(t.Context(), "uninstall", release, "--namespace", story.SystemNamespace, "--wait")
	}
	if out, err := uninstall(); err == nil {
		t.Fatalf("the release was removed while a claim is exported:\n%s", out)
	}
	said := s.Shell("kubectl -n s3populator-system logs job/s3populator-release")
	for _, want := range []string{s.Namespace + "/leaves is being deleted", "runs on", "skip-final-export"} {
		if !strings.Contains(said, want) {
			t.Errorf("the Job does not say %q:\n%s", want, said)
		}
	}
	works(t)
	d := &appsv1.Deployment{}
	key := client.ObjectKey{Namespace: story.SystemNamespace, Name: release}
	if err := world.Client.Get(t.Context(), key, d); err != nil || d.Status.ReadyReplicas != 2 {
		t.Errorf("the manager has %d replicas that are ready (%v)", d.Status.ReadyReplicas, err)
	}
	if !held(t, stays) || !held(t, leaves) {
		t.Error("a claim lost its finalizer")
	}

	s.Kubectl("-n", s.Namespace, "annotate", "pvc", leaves.Name, "s3populator.io/skip-final-export=true")
	s.Await("the claim to go", func() error { return gone(t, leaves) })
	if out, err := uninstall(); err != nil {
		t.Fatal(out, err)
	}
	removed(t)
	if held(t, stays) {
		t.Error("a claim is held by a manager that is not there")
	}
	s.Kubectl("-n", s.Namespace, "delete", "pvc", stays.Name, "--timeout="+patience)

	helm(t, "install")
	works(t)
}

// holds makes a claim with a file on it that is exported before it goes.
func holds(s *story.Story, bucket *story.Bucket, name, to string) *corev1.PersistentVolumeClaim {
	s.T.Helper()
	where := s.NewExport("unused", "data", bucket).Spec.Destination // With the Secret that it needs.
	claim := s.Claim(story.Claim{Name: name, Annotations: map[string]string{
		v1alpha1.AnnotationExportTo:       "s3://" + to + "/last",
		v1alpha1.AnnotationExportEndpoint: where.Endpoint, v1alpha1.AnnotationExportSecret: where.Credentials.SecretRef.Name,
		v1alpha1.AnnotationExportRunAs: "1000:2000", v1alpha1.AnnotationExportOnDelete: v1alpha1.ExportOnDelete,
	}})
	s.Output("fill-"+name, claim.Name, "write", story.MountPath+"/thesis.bin", "300000")
	s.Await("the claim to be held", func() error {
		if !held(s.T, claim) {
			return fmt.Errorf("claim %s is not held", name)
		}
		return nil
	})
	return claim
}

func held(t testing.TB, claim *corev1.PersistentVolumeClaim) bool {
	t.Helper()
	now := &corev1.PersistentVolumeClaim{}
	if err := world.Client.Get(t.Context(), client.ObjectKeyFromObject(claim), now); err != nil {
		t.Fatal(err)
	}
	return slices.Contains(now.Finalizers, v1alpha1.FinalizerFinalExport)
}

func gone(t testing.TB, claim *corev1.PersistentVolumeClaim) error {
	t.Helper()
	now := &corev1.PersistentVolumeClaim{}
	err := world.Client.Get(t.Context(), client.ObjectKeyFromObject(claim), now)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("it has the finalizers %v (%w)", now.Finalizers, err)
}
