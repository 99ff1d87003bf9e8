// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// Of two runs of a claim a source names one, or the last that was complete before a time, or the latest; and gets what
// was on the volume then.
func TestFromExport(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW)
	claim := s.Claim(story.Claim{})
	var trees []string
	var runs []*v1alpha1.S3Export
	for n, name := range []string{"first", "second"} {
		s.Output("writes-"+name, claim.Name, "append", story.MountPath+"/file", name)
		trees = append(trees, s.Output("tree-"+name, claim.Name, "tree", story.MountPath))
		runs = append(runs, s.Exported(s.Export(name, claim.Name, bucket)))
		if n == 1 && !runs[0].Status.CompletionTime.Before(runs[1].Status.CompletionTime) {
			t.Fatalf("the runs were complete at %s and %s", runs[0].Status.CompletionTime, runs[1].Status.CompletionTime)
		}
	}
	before := runs[1].Status.CompletionTime
	for name, tt := range map[string]struct {
		from v1alpha1.FromExport
		want int
	}{
		"by-run":  {v1alpha1.FromExport{Claim: claim.Name, Run: "first"}, 0},
		"by-time": {v1alpha1.FromExport{Claim: claim.Name, Before: before}, 0},
		"latest":  {v1alpha1.FromExport{Claim: claim.Name}, 1},
	} {
		s.Source(name, bucket, func(o *v1alpha1.S3Source) {
			o.Spec.Prefix, o.Spec.FromExport, o.Spec.RestoreAttributes = "", &tt.from, true
		})
		restored := s.Claim(story.Claim{Name: name, Source: name})
		s.Bound(restored.Name)
		if got := s.Output("read-"+name, restored.Name, "tree", story.MountPath); got != trees[tt.want] {
			t.Errorf("%s (-exported +restored):\n%s", name, cmp.Diff(trees[tt.want], got))
		}
		if found := s.Get(name).Status.FromExport; found == nil || found.UID != string(runs[tt.want].UID) {
			t.Errorf("%s has found %+v", name, found)
		}
	}
}

// A claim that nothing but a policy with onDelete selects goes only after it was exported.
func TestFinalExportByPolicy(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW)
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "last"}}
	p.Spec.OnDelete, p.Spec.ClaimSelector.MatchLabels = true, map[string]string{"export": "last"}
	p.Spec.Template = s.NewExport("unused", "data", bucket).Spec.S3ExportTemplate
	p.Spec.Template.Destination.Prefix = "last/{{.Namespace}}/{{.Claim}}/{{.Run}}/"
	p.Spec.Template.Mover.PodSecurityContext = &corev1.PodSecurityContext{
		RunAsUser: new(int64(1000)), RunAsGroup: new(int64(2000)), RunAsNonRoot: new(true),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	s.Create(p)
	claim := s.Claim(story.Claim{Labels: p.Spec.ClaimSelector.MatchLabels})
	s.Output("fill", claim.Name, "write", story.MountPath+"/thesis.bin", "300000")
	l := leavingClaim{Story: s, bucket: bucket, claim: claim}
	s.Await("the claim to be held", func() error {
		now, err := l.now()
		if err == nil && !slices.Contains(now.Finalizers, v1alpha1.FinalizerFinalExport) {
			err = fmt.Errorf("it has the finalizers %v", now.Finalizers)
		}
		return err
	})
	l.begin()
	l.goes()
	l.exported()
}
