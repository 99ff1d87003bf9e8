// SPDX-License-Identifier: Apache-2.0

package moverpod_test

import (
	"cmp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// A mover is only deleted without grace when nothing of its pod can still write.
func TestStopped(t *testing.T) {
	t.Parallel()
	ended := corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}
	running := corev1.ContainerStatus{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	type statuses = []corev1.ContainerStatus
	cases := map[string]struct {
		containers, init            int
		started, initialised, added statuses
		want                        bool
	}{
		"ended":                   {containers: 1, started: statuses{ended}, want: true},
		"running":                 {containers: 1, started: statuses{running}},
		"not seen yet":            {containers: 1},
		"waiting":                 {containers: 1, started: statuses{{}}},
		"a sidecar runs on":       {containers: 2, started: statuses{ended, running}},
		"a sidecar was not seen":  {containers: 2, started: statuses{ended}},
		"a sidecar has ended too": {containers: 2, started: statuses{ended, ended}, want: true},
		"an init sidecar runs on": {
			containers:  1,
			init:        1,
			started:     statuses{ended},
			initialised: statuses{running},
		},
		"an init container has ended": {
			containers:  1,
			init:        1,
			started:     statuses{ended},
			initialised: statuses{ended},
			want:        true,
		},
		"somebody debugs it":               {containers: 1, started: statuses{ended}, added: statuses{running}},
		"a mover whose debugging is over":  {containers: 1, started: statuses{ended}, added: statuses{ended}, want: true},
		"an init container was not seen":   {containers: 1, init: 1, started: statuses{ended}},
		"neither of the two has been seen": {containers: 1, init: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{
				Spec: corev1.PodSpec{
					Containers:     make([]corev1.Container, c.containers),
					InitContainers: make([]corev1.Container, c.init),
				},
				Status: corev1.PodStatus{
					ContainerStatuses:          c.started,
					InitContainerStatuses:      c.initialised,
					EphemeralContainerStatuses: c.added,
				},
			}
			if got := moverpod.Stopped(pod); got != c.want {
				t.Errorf("Stopped is %v, want %v", got, c.want)
			}
		})
	}
}

// TestAnEndingWithoutAReport shows what the runtime said, and nothing that could break a line.
func TestAnEndingWithoutAReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state corev1.ContainerStateTerminated
		want  []string
		not   string
	}{
		"it was never started": {
			corev1.ContainerStateTerminated{
				ExitCode: 128, Reason: "StartError",
				Message: "failed to create task: exec: \"/mover\":\n argument list too long",
			},
			[]string{"128", "StartError", `exec: "/mover": argument list too long`},
			"\n",
		},
		"a long text": {
			corev1.ContainerStateTerminated{ExitCode: 1, Message: strings.Repeat("long ", 1000)},
			[]string{"long long", "…"},
			strings.Repeat("long ", 200),
		},
		"odd characters": {
			corev1.ContainerStateTerminated{ExitCode: 1, Message: "\x1b[31mred\x00\xff\u202e"},
			[]string{"[31mred"},
			"\x1b",
		},
		"nothing": {
			corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"},
			[]string{"exit code 137", "(Error)."},
			"said",
		},
		"a report of success that the exit code denies": {
			corev1.ContainerStateTerminated{ExitCode: 1, Message: `{"class":"Done","objects":1}`}, []string{"exit code 1"}, "",
		},
		"out of memory": {
			corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"},
			[]string{"spec.mover.resources.limits.memory"},
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, ended := moverpod.Ending(&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &c.state}},
			}}})
			if !ended || r.Class != wire.Retry || r.Reason != wire.TransferFailed {
				t.Errorf("the ending is %+v", r)
			}
			for _, text := range c.want {
				if !strings.Contains(r.Message, text) {
					t.Errorf("message lacks %q: %s", text, r.Message)
				}
			}
			if c.not != "" && strings.Contains(r.Message, c.not) {
				t.Errorf("message has %q: %s", c.not, r.Message)
			}
		})
	}
}

// A mover that is deleted and killed, because it does not end in its grace period, has not failed. Whoever is killed
// without that, or is out of memory, has.
func TestAMoverThatIsKilledWhenItIsDeleted(t *testing.T) {
	t.Parallel()
	deleted := func(p *corev1.Pod) {
		p.DeletionTimestamp, p.DeletionGracePeriodSeconds = new(metav1.Now()), new(int64(30))
	}
	drained := func(p *corev1.Pod) {
		deleted(p)
		p.Status.Conditions = []corev1.PodCondition{{
			Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI", Message: "drained",
		}}
	}
	for name, c := range map[string]struct {
		code    int32
		why     string
		pod     func(*corev1.Pod)
		outside bool
		says    string
	}{
		"after its grace period":           {137, "", deleted, true, "had ended, 30 s after it was told to."},
		"before it could handle a signal":  {143, "", deleted, true, "killed before it had ended"},
		"that the kubelet has lost":        {137, "ContainerStatusUnknown", deleted, true, "killed before it had ended"},
		"as its node is drained":           {137, "", drained, true, "EvictionByEvictionAPI: drained"},
		"out of memory as it was deleted":  {137, "OOMKilled", deleted, false, "ran out of memory"},
		"that crashed as it was deleted":   {2, "", deleted, false, "exit code 2"},
		"that was killed, and not deleted": {137, "", func(*corev1.Pod) {}, false, "exit code 137"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := &corev1.ContainerStateTerminated{ExitCode: c.code, Reason: cmp.Or(c.why, "Error")}
			pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
				{Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: end}},
			}}}
			c.pod(pod)
			r, over := moverpod.Ending(pod)
			reason := wire.TransferFailed
			if c.outside {
				reason = wire.Interrupted
			}
			if !over || r.Class != wire.Retry || r.Reason != reason || !strings.Contains(r.Message, c.says) {
				t.Errorf("the ending is %+v (%v), want %s: %s", r, over, reason, c.says)
			}
			if got := moverpod.EndedFromOutside(pod, r); got != c.outside {
				t.Errorf("it was ended from outside: %v, want %v", got, c.outside)
			}
		})
	}
}
