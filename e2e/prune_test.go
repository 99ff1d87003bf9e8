// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// With pruneData, what an older run has exported goes from the bucket, and then its S3Export; the newest run, and what
// the user has put beside the older one, stay.
func TestPruneData(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO)
	s.Keys("s3-writer", "access_key", "secret_key", bucket)
	s.WaitForPhase(s.Claim(story.Claim{Name: "results"}), corev1.ClaimBound)
	s.Output("writes", "results", "append", story.MountPath+"/file", "text")
	s.Kubectl("label", "pvc", "results", "s3populator.io/export=nightly")
	apply(s, story.Site{Bucket: bucket}, []string{"export-policy.yaml"})
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "nightly"}}
	story.Update(s, p, func(p *v1alpha1.S3ExportPolicy) {
		p.Spec.Schedule, p.Spec.Keep, p.Spec.PruneData = "* * * * *", 1, true
	})
	var first v1alpha1.S3Export
	s.Await("the first run", func() error {
		found, err := exportsOf(s, "results")
		for _, e := range found {
			if e.Status.Phase == v1alpha1.ExportSucceeded {
				first = e
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("there are %d", len(found)))
	})
	if files := bucket.Holds(first.Status.Prefix); files["file"] != 5 && files["file"] != 4 {
		t.Fatalf("the first run has exported %v", files)
	}
	bucket.Put(map[string][]byte{first.Status.Prefix + "mine": []byte("of the user")})
	s.Await("the first run to go", func() error {
		err := s.Find(first.DeepCopy())
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
	s.Kubectl("patch", "s3exportpolicy", "nightly", "--type", "merge", "-p", `{"spec":{"suspend":true}}`)
	if files := bucket.Holds(first.Status.Prefix); len(files) != 1 || files["mine"] == 0 {
		t.Errorf("of the first run and the user are left %v", files)
	}
	s.Await("one complete run to stay", func() error {
		found, err := exportsOf(s, "results")
		if err != nil || len(found) != 1 || found[0].Status.Phase != v1alpha1.ExportSucceeded {
			return errors.Join(err, fmt.Errorf("there are %d", len(found)))
		}
		if files := bucket.Holds(found[0].Status.Prefix); files["file"] == 0 {
			return fmt.Errorf("it has exported %v", files)
		}
		return nil
	})
}
