// SPDX-License-Identifier: Apache-2.0

package moverpod_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/internal/moverpod"
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
		"ended":                            {containers: 1, started: statuses{ended}, want: true},
		"running":                          {containers: 1, started: statuses{running}},
		"not seen yet":                     {containers: 1},
		"waiting":                          {containers: 1, started: statuses{{}}},
		"a sidecar runs on":                {containers: 2, started: statuses{ended, running}},
		"a sidecar was not seen":           {containers: 2, started: statuses{ended}},
		"a sidecar has ended too":          {containers: 2, started: statuses{ended, ended}, want: true},
		"an init sidecar runs on":          {containers: 1, init: 1, started: statuses{ended}, initialised: statuses{running}},
		"an init container has ended":      {containers: 1, init: 1, started: statuses{ended}, initialised: statuses{ended}, want: true},
		"somebody debugs it":               {containers: 1, started: statuses{ended}, added: statuses{running}},
		"a mover whose debugging is over":  {containers: 1, started: statuses{ended}, added: statuses{ended}, want: true},
		"an init container was not seen":   {containers: 1, init: 1, started: statuses{ended}},
		"neither of the two has been seen": {containers: 1, init: 1},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{
				Spec:   corev1.PodSpec{Containers: make([]corev1.Container, c.containers), InitContainers: make([]corev1.Container, c.init)},
				Status: corev1.PodStatus{ContainerStatuses: c.started, InitContainerStatuses: c.initialised, EphemeralContainerStatuses: c.added},
			}
			if got := moverpod.Stopped(pod); got != c.want {
				t.Errorf("Stopped is %v, want %v", got, c.want)
			}
		})
	}
}
