// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// A plan that was kept is as old as it was.
func TestTimeOfAPlan(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   State
		want metav1.Time
	}{
		"the first one": {world(parallel, mover(corev1.PodSucceeded, reports(planned))), ago(0)},
		"kept":          {world(at(v1alpha1.ExportPlan), mover(corev1.PodSucceeded, reports(planned))), ago(time.Minute)},
		"another one": {world(at(v1alpha1.ExportPlan), mover(corev1.PodSucceeded, reports(wire.Report{
			Class: wire.Done, Plan: "sha256:q", Shards: 3,
		}))), ago(0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := Status(tt.in, Decide(tt.in, defaults)).Shards
			if got.Step != v1alpha1.ExportShard || !got.PlanTime.Equal(&tt.want) {
				t.Errorf("the shards are %+v, want a plan of %s", got, tt.want)
			}
		})
	}
}

// A Job that fails without progress again and again is given up; one that does not is not.
func TestFailuresOfJobsCount(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pods []corev1.Pod
		want wire.Report
	}{
		"nothing new": {
			[]corev1.Pod{shardPod("a", corev1.PodFailed, reports(broken))},
			wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "reset"},
		},
		"another shard has got on": {
			[]corev1.Pod{
				shardPod("a", corev1.PodFailed, reports(broken)),
				shardPod("b", corev1.PodSucceeded, reports(wire.Report{Class: wire.Done, Progressed: true, SentBytes: 5})),
			},
			wire.Report{Class: wire.RetryUncounted, Reason: wire.TransferFailed, Message: "reset", Progressed: true},
		},
		"it has got on, and waits for S3": {
			[]corev1.Pod{shardPod("a", corev1.PodFailed, reports(slow))},
			wire.Report{Class: wire.Retry, Reason: wire.Throttled, Message: "slow down"},
		},
		"a person has to help, whatever has got on": {
			[]corev1.Pod{
				shardPod("a", corev1.PodFailed, reports(denied)),
				shardPod("b", corev1.PodSucceeded, reports(wire.Report{Class: wire.Done, Progressed: true})),
			},
			wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no.", Progressed: true},
		},
		"the last of two": {
			[]corev1.Pod{
				shardPod("a", corev1.PodFailed, reports(broken)),
				shardPod("b", corev1.PodFailed, func(p *corev1.Pod) { p.CreationTimestamp = ago(0) }, reports(wire.Report{
					Class: wire.Retry, Reason: wire.FileChanged, Message: "later", SentBytes: 3,
				})),
			},
			wire.Report{Class: wire.Retry, Reason: wire.FileChanged, Message: "later", SentBytes: 3},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := world(at(v1alpha1.ExportShard), job(ended(batchv1.JobFailed, "x"), tt.pods...))
			tt.want.Objects, tt.want.Bytes = 100, 1000
			got, over := moverpod.Ending(s.Mover)
			if diff := cmp.Diff(tt.want, got); diff != "" || !over {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Pods whose Job somebody has deleted end one after the other, and are seen in any order: that is one end.
func TestStraysAreCountedOnce(t *testing.T) {
	t.Parallel()
	of := func(uid string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.UID, p.Labels[batchv1.ControllerUidLabel] = types.UID("p-"+p.Name), uid }
	}
	a, b := shardPod("a", corev1.PodRunning, of("j-1")), shardPod("b", corev1.PodRunning, of("j-1"), deleting)
	a.UID, b.UID = "p-a", "p-b"
	b.Labels, b.OwnerReferences = map[string]string{v1alpha1.LabelExportUID: "e-1"},
		[]metav1.OwnerReference{{Kind: "Job", UID: "j-1"}}
	s := world(at(v1alpha1.ExportShard))
	for i, pods := range [][]corev1.Pod{{a, b}, {b, a}, {b}, {a}} {
		s.Pods, s.Mover = pods, MoverOfJob(nil, pods, s.Export.Status)
		s.Export.Status = Status(s, Decide(s, defaults))
		if st := s.Export.Status; st.Disruptions != 1 || st.EndedMover != "j-1" || st.Shards.Step != v1alpha1.ExportPlan {
			t.Errorf("after look %d the status is %+v with shards %+v", i, st, st.Shards)
		}
	}
}

// What the pods of a Job are told, and what their ends mean.
func TestJob(t *testing.T) {
	t.Parallel()
	s := world(at(v1alpha1.ExportShard))
	s.Export.Spec.Retries.Limit = new(int32(6))
	s.Export.Spec.Mover.Env = []corev1.EnvVar{{Name: wire.ShardVariable, Value: "0"}, {Name: "A", Value: "b"}}
	got, err := Job(s, Options{Defaults: defaults, Image: moverpod.Image{Name: "mover"}})
	if err != nil {
		t.Fatal(err)
	}
	spec, pod := got.Spec, got.Spec.Template.Spec
	if got.Name != moverpod.ExportName("e-1") || *spec.Completions != 12 || *spec.Parallelism != 3 ||
		*spec.CompletionMode != batchv1.IndexedCompletion || *spec.BackoffLimitPerIndex != 2 || spec.BackoffLimit != nil ||
		*spec.PodReplacementPolicy != batchv1.Failed || !metav1.IsControlledBy(got, s.Export) {
		t.Errorf("the Job is %+v", got)
	}
	for i, want := range []struct {
		action batchv1.PodFailurePolicyAction
		codes  []int32
	}{
		{batchv1.PodFailurePolicyActionIgnore, nil},
		{batchv1.PodFailurePolicyActionFailJob, []int32{2}},
		{batchv1.PodFailurePolicyActionIgnore, []int32{4}},
	} {
		rule := spec.PodFailurePolicy.Rules[i]
		if rule.Action != want.action || (rule.OnExitCodes == nil) != (want.codes == nil) ||
			want.codes != nil && !cmp.Equal(rule.OnExitCodes.Values, want.codes) {
			t.Errorf("rule %d is %+v, want %+v", i, rule, want)
		}
	}
	for _, e := range pod.Containers[0].Env {
		if e.Name == wire.ShardVariable {
			t.Error("all pods have the same shard")
		}
	}
	request, err := wire.ParseArgs(pod.Containers[0].Args)
	if o := request.Export; err != nil || o.Step != wire.StepShard || o.Plan != "sha256:p" || o.Shards != 0 {
		t.Errorf("a pod is told %+v (%v)", request.Export, err)
	}
	terms := pod.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms
	if terms[0].MatchFields[0].Values[0] != "a" || pod.Affinity.PodAffinity != nil ||
		pod.RestartPolicy != corev1.RestartPolicyNever {
		t.Errorf("a pod is %+v", pod)
	}
	l := got.Spec.Template.Labels
	if l[v1alpha1.LabelExportUID] != "e-1" || l[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy {
		t.Errorf("a pod has the labels %v", l)
	}
}

// The pods of a volume that one node can mount, and that nobody uses, must not be spread over nodes.
func TestPodsOfAJobShareTheNode(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		in   State
		want bool
	}{
		"one node":                    {world(at(v1alpha1.ExportShard), users()), true},
		"many nodes":                  {world(at(v1alpha1.ExportShard), users(), access(corev1.ReadOnlyMany)), false},
		"the node of who uses it":     {world(at(v1alpha1.ExportShard)), false},
		"one pod needs no other":      {world(at(v1alpha1.ExportFinish), users()), false},
		"a copy that one node mounts": {world(at(v1alpha1.ExportShard), users(user("app", "a")), ofACopy), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod, err := Mover(tt.in, Options{Defaults: defaults})
			if err != nil {
				t.Fatal(err)
			}
			a := pod.Spec.Affinity
			got := a != nil && a.PodAffinity != nil && len(a.PodAffinity.RequiredDuringSchedulingIgnoredDuringExecution) == 1
			if got != tt.want {
				t.Errorf("the affinity is %+v, want together: %v", a, tt.want)
			}
		})
	}
}

func ofACopy(s *State) {
	s.Export.Spec.Consistency = v1alpha1.ConsistencyClone
	s.Temporary.Claim = s.Claim.DeepCopy()
	s.Temporary.Claim.Name, s.Temporary.Claim.UID = TemporaryName("e-1"), "t-1"
}
