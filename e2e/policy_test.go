// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/story"
)

// With the webhook's configuration gone, an annotated claim is refused by the API server
// instead of coming up empty. An exempt namespace gets the empty volume, and the claim
// says so. It is not parallel: the other stories need the webhook.
func TestWebhookGone(t *testing.T) {
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonNotPopulated)}
	config := &admissionv1.MutatingWebhookConfiguration{}
	if err := world.Client.Get(t.Context(), client.ObjectKey{Name: story.ManagerName}, config); err != nil {
		t.Fatal(err)
	}
	s.Delete(config)
	defer func() { // Not a cleanup: those run after the test's context has ended.
		config.ResourceVersion, config.UID = "", ""
		s.Create(config)
		s.Reviewed()
	}()
	annotated := story.Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}
	s.Await("the API server to forget the webhook", func() error {
		err := world.Client.Create(t.Context(), s.NewClaim(annotated), client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "s3populator-claims") {
			return errors.Join(errors.New("the policy does not refuse it"), err)
		}
		return nil
	})
	s.Refused(s.NewClaim(annotated), "annotation s3populator.io/source asks S3 volume populator for data")

	s.ExemptFromAdmission()
	claim := s.Claim(annotated)
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonNotPopulated), "was empty when it was bound")
	s.AssertContent(s.Reader(claim), story.Content{})
	story.Update(s, claim, func(c *corev1.PersistentVolumeClaim) { delete(c.Annotations, v1alpha1.AnnotationSource) })
	s.WaitForCondition(claim.Name, "", "")
}

// Annotations that describe a source need the right to create pods; naming a source does not.
func TestRightsOfAnnotations(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 3))
	keys(s, bucket)
	s.Source("source", bucket)
	s.Grant("claimer", "persistentvolumeclaims")
	s.Grant("podder", "persistentvolumeclaims", "pods")
	claimer, podder := s.As("claimer"), s.As("podder")
	err := claimer.Create(t.Context(), s.NewClaim(story.Claim{Name: "described", Annotations: located(bucket, "")}))
	if err == nil || !strings.Contains(err.Error(), "for claimer, who may not create pods there") {
		t.Fatalf("one who may not create pods described a source: %v", err)
	}
	described := s.NewClaim(story.Claim{Name: "described", Annotations: located(bucket, "")})
	named := s.NewClaim(story.Claim{Name: "named", Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}})
	if err := errors.Join(podder.Create(t.Context(), described), claimer.Create(t.Context(), named)); err != nil {
		t.Fatal(err)
	}
	change := client.RawPatch(
		"application/merge-patch+json",
		[]byte(`{"metadata":{"annotations":{"s3populator.io/service-account":"admin"}}}`),
	)
	if err := claimer.Patch(t.Context(), described.DeepCopy(), change); err == nil ||
		!strings.Contains(err.Error(), "s3populator.io/service-account makes") {
		t.Errorf("one who may not create pods chose another identity: %v", err)
	}
	s.Populated(described, bucket.Under(""))
	s.Populated(named, bucket.Under(""))
	// The StatefulSet controller acts for somebody who was asked already.
	s.StatefulSet("web", 1, story.Claim{Class: story.LateDelete, Annotations: located(bucket, "")})
	set, _ := s.Bound("data-web-0")
	s.AssertContent(s.Reader(set), bucket.Under(""))
}

// thief has the token of our ServiceAccount.
func thief(s *story.Story) client.Client {
	return s.As(
		story.ManagerAccount,
		"system:serviceaccounts",
		"system:serviceaccounts:"+story.SystemNamespace,
		"system:authenticated",
	)
}

// Whoever has the token of our ServiceAccount gets movers out of it, and nothing else. The
// API server finds nothing wrong with the types of any expression.
func TestManagerIsPinned(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Untouched = true
	claim := s.Claim(story.Claim{Name: "users"})
	s.WaitForPhase(claim, corev1.ClaimBound) // A Pending claim cannot ask for more: no policy would be asked.
	thief := thief(s)
	shell := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "populate-shell", Namespace: s.Namespace}}
	shell.Spec = story.PodSpec(claim.Name, false, false)
	shell.Spec.Containers[0].Name = "mover" // Its image is not ours.
	exporter := shell.DeepCopy()            // It would change the group of every file, and could write them.
	exporter.Name, exporter.Spec.Containers[0].Image = "export-shell", image.Name("mover")
	if err := thief.Create(t.Context(), exporter); err == nil || !strings.Contains(err.Error(), "mounts it read-only") {
		t.Errorf("an export that could write: %v, want the policy to refuse it", err)
	}
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "export-shell", Namespace: s.Namespace}}
	job.Spec.Template.Spec = shell.Spec
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	ours := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: story.ManagerName}}
	larger := client.RawPatch("application/merge-patch+json",
		[]byte(`{"spec":{"resources":{"requests":{"storage":"1Gi"}}}}`))
	ignored := client.RawPatch("application/json-patch+json",
		[]byte(`[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]`))
	for what, err := range map[string]error{
		"contain":            thief.Create(t.Context(), shell),
		"have a Job contain": thief.Create(t.Context(), job),
		"delete":             thief.Delete(t.Context(), claim.DeepCopy()),
		"change":             thief.Patch(t.Context(), claim.DeepCopy(), larger),
		"change the webhook": thief.Patch(t.Context(), ours, ignored),
	} {
		if err == nil || !strings.Contains(err.Error(), "s3populator-manager") {
			t.Errorf("%s: %v, want the policy to refuse it", what, err)
		}
	}
	var all admissionv1.ValidatingAdmissionPolicyList
	err := world.Client.List(t.Context(), &all, client.MatchingLabels{"app.kubernetes.io/part-of": "s3populator"})
	if err != nil || len(all.Items) != 10 {
		t.Fatalf("there are %d policies (%v), want ten", len(all.Items), err)
	}
	for _, p := range all.Items {
		if p.Status.TypeChecking != nil && len(p.Status.TypeChecking.ExpressionWarnings) > 0 {
			t.Errorf("%s: %+v", p.Name, p.Status.TypeChecking.ExpressionWarnings)
		}
	}
}

// badJobs are like one that the manager makes, but for what the refusal says.
var badJobs = map[string]struct {
	change func(*batchv1.Job)
	want   string
}{
	"is of nobody": {func(j *batchv1.Job) { j.Labels = nil }, "has neither the labels"},
	"is of another export": {
		func(j *batchv1.Job) { j.Labels[v1alpha1.LabelExportUID] = "7" }, "has neither the labels",
	},
	"has the name of another's": {func(j *batchv1.Job) { j.Name = "backup" }, "Jobs named export-UID only"},
	"takes the pods of others": {func(j *batchv1.Job) {
		j.Spec.ManualSelector, j.Spec.Parallelism = new(true), new(int32(0))
		j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "database"}}
		j.Spec.Template.Labels = map[string]string{"app": "database"}
	}, "has no spec.manualSelector, spec.selector of its own"},
	"selects": {func(j *batchv1.Job) {
		j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.JobNameLabel: j.Name}}
	}, "has no spec.selector of its own"},
	"is run by another controller": {
		func(j *batchv1.Job) { j.Spec.ManagedBy = new("example.com/elsewhere") }, "has no spec.managedBy of its own",
	},
}

// It gets no pods of others by way of a Job, and ends no Job of others, whatever its name is.
func TestManagerIsPinnedToItsJobs(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Untouched = true
	thief := thief(s)
	labels := map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelExportUID: "0b1c"}
	good := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "export-0b1c", Namespace: s.Namespace, Labels: labels}}
	good.Spec.Suspend = new(true)
	good.Spec.Template.Spec = corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false),
		Containers: []corev1.Container{{
			Name: "mover", Image: image.Name("mover"),
			SecurityContext: &corev1.SecurityContext{AllowPrivilegeEscalation: new(false)},
		}},
	}
	if err := thief.Create(t.Context(), good.DeepCopy(), client.DryRunAll); err != nil {
		t.Fatalf("a Job as the manager makes one: %v", err)
	}
	for what, tt := range badJobs {
		bad := good.DeepCopy()
		tt.change(bad)
		if err := world.Client.Create(t.Context(), bad.DeepCopy(), client.DryRunAll); err != nil {
			t.Errorf("a Job that %s cannot be made by anybody: %v", what, err)
		}
		if err := thief.Create(t.Context(), bad, client.DryRunAll); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("a Job that %s: %v, want a refusal that says %q", what, err, tt.want)
		}
	}
	nightly := good.DeepCopy()
	nightly.Name, nightly.Labels = "export-nightly", nil
	s.Create(nightly)
	err := thief.Delete(t.Context(), nightly.DeepCopy())
	if err == nil || !strings.Contains(err.Error(), "Job export-nightly has neither the labels") {
		t.Errorf("a user's Job is deleted: %v", err)
	}
	s.DeleteAs(nightly, "Foreground")
	s.Gone(nightly)
}

// Nobody but the manager says that what a run has exported is being removed, or is not any more.
func TestPolicyOfMarkedRuns(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: "run", Namespace: s.Namespace}}
	e.Spec.ClaimName, e.Spec.Suspend = "absent", true
	e.Spec.Destination.Region, e.Spec.Destination.Bucket = "x", "backups"
	s.Create(e)
	defer s.Delete(e)
	s.Grant("exporter", "s3exports")
	for who, by := range map[string]client.Client{
		"who may do anything with S3Exports": s.As("exporter"), "an administrator": world.Client,
	} {
		patch := client.RawPatch("application/merge-patch+json",
			[]byte(`{"metadata":{"annotations":{"`+v1alpha1.AnnotationPruning+`":"`+string(e.UID)+` 2026-01-02T03:00:00Z"}}}`))
		err := by.Patch(t.Context(), e.DeepCopy(), patch, client.DryRunAll)
		if err == nil || !strings.Contains(err.Error(), "only S3 volume populator writes it") {
			t.Errorf("%s marks a run: %v", who, err)
		}
		other := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"a":"b"}}}`))
		if err := by.Patch(t.Context(), e.DeepCopy(), other, client.DryRunAll); err != nil {
			t.Errorf("%s writes another annotation: %v", who, err)
		}
	}
}

// A claim that is created for a volume, as a restore does, keeps it, whatever it carries; its
// condition is no alarm, and tells nobody to delete it.
func TestRestoredWithItsVolume(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 3))
	s.Source("source", bucket)
	own := s.Class(corev1.PersistentVolumeReclaimRetain, nil) // While the volume is free, claims of others would get it.
	first := s.Claim(story.Claim{Name: "first", Source: "source", Class: own})
	backup := bucket.Under("")
	_, volume := s.Populated(first, backup)
	s.Delete(first)
	s.Gone(first)
	story.Update(s, volume, func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = nil })
	bucket.Put(map[string][]byte{"later.txt": []byte("not in the backup")})
	s.AbandonToBinder("restored")
	claim := s.NewClaim(
		story.Claim{
			Name:        "restored",
			Source:      "source",
			Class:       own,
			Annotations: map[string]string{v1alpha1.AnnotationSource: "source"},
		},
	)
	claim.Spec.VolumeName = volume.Name
	s.Create(claim)
	c := s.WaitForCondition(claim.Name, string(v1alpha1.ReasonLeftAlone), volume.Name)
	if c.Status != corev1.ConditionUnknown || strings.Contains(strings.ToLower(c.Message), "delete") {
		t.Errorf("it tells %s: %s", c.Status, c.Message)
	}
	s.AssertContent(s.Reader(claim), backup)
	s.NeverMade(claim)
	s.Delete(claim)
	s.Gone(claim)
	s.Reclaim(volume)
}

// The example of the guide, as one Helm release: Helm creates the claim before its source.
func TestOneRelease(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{string(v1alpha1.ReasonSourceNotFound)} // Where Helm takes seconds to the source.
	bucket := s.Bucket(story.MinIO).Put(story.Small("llama/", 4))
	s.Create(
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "s3-reader", Namespace: s.Namespace},
			StringData: map[string]string{
				"access_key": bucket.Server.AccessKey, "secret_key": bucket.Server.SecretKey,
			},
		},
	)
	chart := t.TempDir()
	var text []byte
	for _, o := range s.Sample("one-release.yaml") {
		switch o := o.(type) {
		case *corev1.PersistentVolumeClaim:
			o.Spec.StorageClassName = new(story.ImmediateDelete)
			o.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("32Mi")
		case *v1alpha1.S3Source:
			o.Spec.Endpoint, o.Spec.Bucket = bucket.Server.Endpoint, bucket.Name
		}
		document, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, "---\n"...), document...)
	}
	if err := errors.Join(
		os.Mkdir(filepath.Join(chart, "templates"), 0o755),
		os.WriteFile(filepath.Join(chart, "Chart.yaml"), []byte("apiVersion: v2\nname: weights\nversion: 0.1.0\n"), 0o600),
		os.WriteFile(filepath.Join(chart, "templates", "all.yaml"), text, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	s.Helm("install", "weights", chart)
	claim, _ := s.Bound("weights")
	s.AssertContent(s.Reader(claim), bucket.Under("llama/"))
	s.Helm("uninstall", "weights")
}
