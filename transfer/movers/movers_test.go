// SPDX-License-Identifier: Apache-2.0

package movers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// A mover that is complete, and that the status of its export does not tell of, is all that is told.
func TestUncounted(t *testing.T) {
	done, failed := wire.Report{Class: wire.Done}, wire.Report{Class: wire.Retry, Reason: wire.TransferFailed}
	for name, tt := range map[string]struct {
		report  *wire.Report // Nil for one that runs.
		of      string
		counted string
		want    bool
	}{
		"complete":                        {&done, "e-1", "", true},
		"complete, after an earlier one":  {&done, "e-1", "m-0", true},
		"complete and counted":            {&done, "e-1", "m-1", false},
		"it runs":                         {nil, "e-1", "", false},
		"it has failed":                   {&failed, "e-1", "", false},
		"a pod of somebody, of that name": {&done, "", "", false},
	} {
		e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "run", UID: "e-1"}}
		e.Status.EndedMover = tt.counted
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "team", Name: moverpod.ExportName("e-1"), UID: "m-1",
			Labels: map[string]string{v1alpha1.LabelExportUID: tt.of},
		}}
		if tt.report != nil {
			pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
				Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: int32(tt.report.Class.ExitCode()), Message: string(tt.report.Encode()),
				}},
			}}
		}
		is, err := Uncounted(fake.NewFakeClient(pod))(t.Context(), e)
		if err != nil || is != tt.want {
			t.Errorf("%s: %t, %v", name, is, err)
		}
		if none, err := Uncounted(fake.NewFakeClient())(t.Context(), e); err != nil || none {
			t.Errorf("without a pod: %t, %v", none, err)
		}
	}
}
