// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// annotateAs changes annotations of a claim with the rights of a client.
func annotateAs(
	ctx context.Context,
	by client.Client,
	claim *corev1.PersistentVolumeClaim,
	annotations map[string]string,
) error {
	before := claim.DeepCopy()
	after := claim.DeepCopy()
	if after.Annotations == nil {
		after.Annotations = map[string]string{}
	}
	maps.Copy(after.Annotations, annotations)
	return by.Patch(ctx, after, client.MergeFrom(before))
}

// exportsOf are the S3Exports of a claim.
func exportsOf(s *story.Story, claim string) (found []v1alpha1.S3Export, err error) {
	var all v1alpha1.S3ExportList
	err = world.Client.List(s.T.Context(), &all, client.InNamespace(s.Namespace))
	for _, e := range all.Items {
		if e.Spec.ClaimName == claim {
			found = append(found, e)
		}
	}
	return found, err
}

// awaitExports waits until a claim has so many S3Exports, all complete.
func awaitExports(s *story.Story, claim string, want int) (found []v1alpha1.S3Export) {
	s.T.Helper()
	s.Await(fmt.Sprintf("%d complete exports of claim %s", want, claim), func() (err error) {
		if found, err = exportsOf(s, claim); err != nil {
			return err
		}
		if len(found) != want {
			return fmt.Errorf("there are %d", len(found))
		}
		for _, e := range found {
			if e.Status.Phase != v1alpha1.ExportSucceeded {
				return fmt.Errorf("S3Export %s is %s: %+v", e.Name, e.Status.Phase, e.Status.Conditions)
			}
		}
		return nil
	})
	return found
}

// awaitExported waits until the condition of a claim has a status and speaks of a text.
func awaitExported(s *story.Story, claim string, status corev1.ConditionStatus, text string) {
	s.T.Helper()
	s.Await(fmt.Sprintf("claim %s to be told %s, %q", claim, status, text), func() error {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: claim}}
		if err := s.Find(c); err != nil {
			return err
		}
		for _, condition := range c.Status.Conditions {
			if condition.Type == v1alpha1.ConditionExported && condition.Status == status &&
				strings.Contains(condition.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("its conditions are %+v", c.Status.Conditions)
	})
}

// The example of annotations is followed, on a claim that exists: the same token twice is one run, also after a
// restart of the manager, and a new one is another. The condition says where the last complete export is. Nobody
// gains rights that he lacks. It is not parallel: it restarts the manager.
func TestExportByAnnotation(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("imagenet/", 3))
	for _, secret := range []string{"s3-reader", "s3-writer"} {
		s.Keys(secret, "access_key", "secret_key", bucket)
	}
	apply(s, story.Site{Bucket: bucket}, []string{"quickstart.yaml", "export-annotated.yaml"})
	// At midnight it would begin an export that nobody counts on here.
	s.Kubectl("annotate", "pvc", "notebooks", v1alpha1.AnnotationExportSchedule+"-")
	claim, _ := s.Bound("notebooks")
	s.Bound("imagenet")
	s.Grant("claimer", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods")
	token := map[string]string{v1alpha1.AnnotationExportNow: "1"}
	if err := annotateAs(t.Context(), s.As("claimer"), claim, token); err == nil ||
		!strings.Contains(err.Error(), "claimer, who may not create s3exports.s3populator.io there") {
		t.Fatalf("one who may not create S3Exports asked for one: %v", err)
	}
	malformed := map[string]string{v1alpha1.AnnotationExportTo: "s3://" + bucket.Name + "/{{.Pod}}"}
	if err := annotateAs(t.Context(), world.Client, claim, malformed); err == nil ||
		!strings.Contains(err.Error(), "metadata.annotations[s3populator.io/export-to]") {
		t.Fatalf("a malformed annotation was admitted: %v", err)
	}
	ask := func(token string) {
		s.Kubectl("annotate", "pvc", "notebooks", "--overwrite", v1alpha1.AnnotationExportNow+"="+token)
	}
	ask("1")
	first := awaitExports(s, claim.Name, 1)[0]
	if want := "team/" + s.Namespace + "/notebooks/" + string(first.UID) + "/"; first.Status.Prefix != want ||
		int64(len(bucket.Holds(want))) != first.Status.Objects || first.Status.Objects == 0 {
		t.Errorf("%s holds %v, and the status is %+v; want %s", first.Status.Prefix, bucket.Holds(first.Status.Prefix),
			first.Status, want)
	}
	awaitExported(s, claim.Name, corev1.ConditionTrue, first.Status.ManifestDigest)
	s.RestartManager()
	ask("1")
	s.Output("again", claim.Name, "append", story.MountPath+"/added", "text")
	ask("2")
	for _, e := range awaitExports(s, claim.Name, 2) {
		if e.UID != first.UID && (e.Status.Objects != first.Status.Objects+1 || e.Status.CopiedFrom != first.Status.Prefix) {
			t.Errorf("the second run did %+v", e.Status)
		}
	}
	awaitExported(s, claim.Name, corev1.ConditionTrue, fmt.Sprintf("%d objects", first.Status.Objects+1))
	told := s.Kubectl("get", "pvc", "notebooks", "-o",
		`jsonpath={.status.conditions[?(@.type=="s3populator.io/Exported")].message}`)
	if !strings.Contains(told, "s3://"+bucket.Name+"/team/") {
		t.Errorf("the condition says %q", told)
	}
}

// The example of a policy is followed, with a tick each minute: it fires once per tick and claim, although two
// managers run and are replaced at the tick, and so does the schedule of a claim's own. It is not parallel.
func TestExportBySchedule(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO)
	s.Keys("s3-writer", "access_key", "secret_key", bucket)
	for _, name := range []string{"results", "two", "other"} {
		s.WaitForPhase(s.Claim(story.Claim{Name: name}), corev1.ClaimBound)
		s.Output("writes-"+name, name, "append", story.MountPath+"/file", "text")
	}
	for _, name := range []string{"results", "two"} {
		s.Kubectl("label", "pvc", name, "s3populator.io/export=nightly")
	}
	own := s.Claim(story.Claim{Name: "own", Annotations: map[string]string{
		v1alpha1.AnnotationExportTo: "s3://" + bucket.Name, v1alpha1.AnnotationExportEndpoint: bucket.Server.Endpoint,
		v1alpha1.AnnotationExportSecret: "s3-writer",
	}})
	s.WaitForPhase(own, corev1.ClaimBound) // An export of a tick before that would warn.
	s.Kubectl("annotate", "pvc", own.Name, v1alpha1.AnnotationExportSchedule+"=* * * * *")
	apply(s, story.Site{Bucket: bucket}, []string{"export-policy.yaml"})
	p := &v1alpha1.S3ExportPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "nightly"}}
	story.Update(s, p, func(p *v1alpha1.S3ExportPolicy) { p.Spec.Schedule = "* * * * *" })
	var tick time.Time
	s.Await("the policy to be ready", func() error {
		err := s.Find(p)
		next := p.Status.NextScheduleTime
		if err == nil && (p.Status.Claims != 2 || next == nil || time.Until(next.Time) > time.Minute) {
			err = fmt.Errorf("its status is %+v", p.Status)
		}
		return err
	})
	tick = p.Status.NextScheduleTime.Time
	select { // A moment before it.
	case <-time.After(time.Until(tick) - time.Second):
	case <-t.Context().Done():
	}
	s.RestartManager()
	s.Await("the tick to be noted", func() error {
		err := s.Find(p)
		if err == nil && (p.Status.LastScheduleTime == nil || p.Status.LastScheduleTime.Time.Before(tick)) {
			err = fmt.Errorf("the last is %v", p.Status.LastScheduleTime)
		}
		return err
	})
	s.Kubectl("patch", "s3exportpolicy", "nightly", "--type", "merge", "-p", `{"spec":{"suspend":true}}`)
	s.Await("the policy to be suspended", func() error { // After that no tick makes another export.
		err := s.Find(p)
		ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if err == nil && (ready == nil || ready.Reason != string(v1alpha1.ReasonSuspended)) {
			err = fmt.Errorf("its status is %+v", p.Status)
		}
		return err
	})
	if table := s.Kubectl("get", "s3exportpolicies"); !strings.Contains(table, "nightly") {
		t.Errorf("kubectl prints %q", table)
	}
	oncePerTick(s, "results", tick)
	oncePerTick(s, "two", tick)
	s.Await("an export of the claim with a schedule of its own", func() error {
		found, err := exportsOf(s, own.Name)
		if err == nil && len(found) == 0 {
			err = errors.New("there is none")
		}
		return err
	})
	s.Kubectl("annotate", "pvc", own.Name, v1alpha1.AnnotationExportSchedule+"-")
	s.Await("the schedule to end", func() error { // After that no tick makes another export.
		now := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: own.Name}}
		err := s.Find(now)
		if tick, noted := now.Annotations[v1alpha1.AnnotationExportedTick]; err == nil && noted {
			err = fmt.Errorf("the last tick is %s", tick)
		}
		return err
	})
	oncePerTick(s, own.Name, time.Time{})
	if table := s.Kubectl("get", "s3exports"); !strings.Contains(table, "Succeeded") {
		t.Errorf("kubectl prints %q", table)
	}
	s.Kubectl("delete", "pvc", own.Name) // Its exports go with it.
	s.Await("the exports of claim own to go", func() error {
		found, err := exportsOf(s, own.Name)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("there are %d", len(found))
		}
		return err
	})
	if found, err := exportsOf(s, "other"); err != nil || len(found) > 0 {
		t.Errorf("a claim that is not selected has exports %v (%v)", found, err)
	}
}

// oncePerTick asserts that no tick has two exports, and that one has an export.
func oncePerTick(s *story.Story, claim string, tick time.Time) {
	s.T.Helper()
	found, err := exportsOf(s, claim)
	if err != nil {
		s.T.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range found {
		at := e.Annotations[v1alpha1.AnnotationScheduledAt]
		if seen[at] {
			s.T.Errorf("claim %s has two exports of %s", claim, at)
		}
		seen[at] = true
		s.Exported(&e)
	}
	if !tick.IsZero() && !seen[tick.UTC().Format(time.RFC3339)] {
		s.T.Errorf("claim %s has exports of %v, none of %s", claim, seen, tick)
	}
}
