// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// moverJob is as the manager makes one; one that has no owner any more.
func moverJob(name string, change ...func(*corev1.Pod)) *batchv1.Job {
	reads := func(p *corev1.Pod) { p.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = true }
	pod := moverPod(append([]func(*corev1.Pod){reads}, change...)...)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "plain", Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelExportUID: strings.TrimPrefix(name, "export-"),
		}},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod.Spec}},
	}
}

// jobWith is one of the manager that somebody has changed.
func jobWith(name string, change func(*batchv1.Job)) *batchv1.Job {
	job := moverJob(name)
	change(job)
	return job
}

// ownedBy takes the labels of a Job away, and gives it an owner.
func ownedBy(kind string, uid types.UID) func(*batchv1.Job) {
	return func(j *batchv1.Job) {
		j.Labels = map[string]string{v1alpha1.LabelManagedBy: "platform"}
		j.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: "run", UID: uid,
		}}
	}
}

// testManagerJobs: a Job of the manager makes the pods that it may make itself.
func (c *cast) testManagerJobs(t *testing.T) {
	for name, tt := range map[string]struct {
		job  *batchv1.Job
		want string
	}{
		"shards of an export": {job: moverJob("export-0b1c")},
		"another name":        {job: moverJob("shell"), want: "Jobs named export-UID only"},
		"of a population":     {job: moverJob("populate-0b1c"), want: "Jobs named export-UID only"},
		"another image": {
			job:  moverJob("export-0b1c", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.com/shell" }),
			want: "mover with example.com/shell",
		},
		"an init container": {job: moverJob("export-0b1c", func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "shell", Image: "example.com/shell"}}
		}), want: "shell with example.com/shell"},
		"a command": {
			job:  moverJob("export-0b1c", func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"sh"} }),
			want: "no command",
		},
		"privileged": {job: moverJob("export-0b1c", func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		}), want: "privilege"},
		"a path of the node": {job: moverJob("export-0b1c", func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes,
				corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		}), want: "hostPath"},
		"a node": {job: moverJob("export-0b1c", func(p *corev1.Pod) { p.Spec.NodeName = "n" }), want: "nodeName"},
		"a mounted token": {
			job:  moverJob("export-0b1c", func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = nil }),
			want: "token for the API server",
		},
		"a token for the API server": {
			job:  moverJob("export-0b1c", func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, token("")) }),
			want: "token for the API server",
		},
		"one that may write": {job: moverJob("export-0b1c", func(p *corev1.Pod) {
			p.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = false
		}), want: "mounts it read-only"},
		"one that changes the group of files": {job: moverJob("export-0b1c", func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: new(int64(1))}
		}), want: "mounts it read-only"},
		"labelled by somebody else, and owned by its export": {job: jobWith("export-0b1c", ownedBy("S3Export", "0b1c"))},
		"owned by another export": {
			job: jobWith("export-0b1c", ownedBy("S3Export", "7")), want: "makes and deletes no other",
		},
		"owned by something else": {
			job: jobWith("export-0b1c", ownedBy("S3Import", "0b1c")), want: "makes and deletes no other",
		},
		"labelled for another export": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Labels[v1alpha1.LabelExportUID] = "7"
		}), want: "makes and deletes no other"},
		"one that takes pods of others": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Spec.ManualSelector, j.Spec.Parallelism = new(true), new(int32(0)) // It would end all of them.
			j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "database"}}
			j.Spec.Template.Labels = map[string]string{"app": "database"}
		}), want: "no spec.manualSelector, spec.selector of its own"},
		"one that says which pods are its own": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{batchv1.JobNameLabel: j.Name}}
		}), want: "no spec.selector of its own"},
		"one that says which are not": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "app", Operator: metav1.LabelSelectorOpDoesNotExist},
			}}
		}), want: "no spec.selector of its own"},
		"one that asks for what is usual": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Spec.ManualSelector = new(false)
		})},
		"one that another controller runs": {job: jobWith("export-0b1c", func(j *batchv1.Job) {
			j.Spec.ManagedBy = new("example.com/elsewhere")
		}), want: "no spec.managedBy of its own"},
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, "the manager", c.as[ourselves].Create(t.Context(), tt.job.DeepCopy(), client.DryRunAll), tt.want)
			checkOutcome(t, "somebody else", c.as[root].Create(t.Context(), tt.job.DeepCopy(), client.DryRunAll), "")
		})
	}
	c.testOtherJobs(t)
}

// testOtherJobs: of Jobs that are there, it deletes those of exports, and changes none.
func (c *cast) testOtherJobs(t *testing.T) {
	ours, unlabelled := moverJob("export-7"), jobWith("export-8", ownedBy("S3Export", "8"))
	named := jobWith("export-nightly", func(j *batchv1.Job) { j.Labels = nil })
	byHelm := jobWith("export-weekly", func(j *batchv1.Job) { j.Labels[v1alpha1.LabelManagedBy] = "Helm" })
	theirs := moverJob("backup")
	for _, job := range []*batchv1.Job{ours, unlabelled, named, byHelm, theirs} {
		c.create(t, job)
	}
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"parallelism":7}}`))
	suspend := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"suspend":true}}`))
	label := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`))
	for _, patch := range []client.Patch{change, suspend, label} {
		err := c.as[ourselves].Patch(t.Context(), ours.DeepCopy(), patch, client.DryRunAll)
		checkOutcome(t, "changing one", err, "changes none")
	}
	for job, want := range map[*batchv1.Job]string{
		ours: "", unlabelled: "", theirs: "Jobs named export-UID only",
		named: "Job export-nightly has neither the labels", byHelm: "Job export-weekly has neither the labels",
	} {
		err := c.as[ourselves].Delete(t.Context(), job.DeepCopy(), client.DryRunAll,
			client.PropagationPolicy(metav1.DeletePropagationForeground))
		checkOutcome(t, "deleting "+job.Name, err, want)
	}
}
