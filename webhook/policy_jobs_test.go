// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// moverJob is as the manager makes one.
func moverJob(name string, change ...func(*corev1.Pod)) *batchv1.Job {
	reads := func(p *corev1.Pod) { p.Spec.Volumes[0].PersistentVolumeClaim.ReadOnly = true }
	pod := moverPod(append([]func(*corev1.Pod){reads}, change...)...)
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "plain"},
		Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod.Spec}},
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
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, "the manager", c.as[ourselves].Create(t.Context(), tt.job.DeepCopy(), client.DryRunAll), tt.want)
			checkOutcome(t, "somebody else", c.as[root].Create(t.Context(), tt.job.DeepCopy(), client.DryRunAll), "")
		})
	}
	ours, theirs := moverJob("export-7"), moverJob("backup")
	for _, job := range []*batchv1.Job{ours, theirs} {
		c.create(t, job)
	}
	change := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"parallelism":7}}`))
	checkOutcome(t, "changing one", c.as[ourselves].Patch(t.Context(), ours.DeepCopy(), change, client.DryRunAll),
		"changes none")
	checkOutcome(t, "deleting one", c.as[ourselves].Delete(t.Context(), ours.DeepCopy(), client.DryRunAll), "")
	checkOutcome(t, "deleting another", c.as[ourselves].Delete(t.Context(), theirs.DeepCopy(), client.DryRunAll),
		"Jobs named export-UID only")
}
