// SPDX-License-Identifier: Apache-2.0

package export

import (
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// kubelet ends every pod that is new, as its container would have; movers that are slow it has run.
func (b *bench) kubelet() {
	b.t.Helper()
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		if pod.Status.Phase != "" {
			continue
		}
		if b.slow && pod.Labels[v1alpha1.LabelRole] == v1alpha1.RoleExport {
			b.movers++
			b.open, pod.Status.Phase = true, corev1.PodRunning
			must(b.t, b.client.Status().Update(b.t.Context(), pod))
			continue
		}
		report := b.reportOf(pod)
		switch pod.Labels[v1alpha1.LabelRole] {
		case v1alpha1.RoleAbort:
			b.aborts++
			b.open, report = false, wire.Report{Class: wire.Done, AbortedUploads: 1}
		case v1alpha1.RoleConsumer:
			report = wire.Report{Class: wire.Done}
		default:
			b.movers++
			b.open = report.Class != wire.Done
		}
		text, _ := json.Marshal(report)
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: int32(report.Class.ExitCode()), Message: string(text),
			}},
		}}
		if err := b.client.Status().Update(b.t.Context(), pod); err != nil {
			b.t.Fatal(err)
		}
	}
}
