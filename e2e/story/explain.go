// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// describeNamespace is what somebody would ask kubectl after a failure. What cannot be
// read is left out: it must not hide the failure itself.
func (w *World) describeNamespace(ctx context.Context, namespace string) string {
	var out strings.Builder
	in := client.InNamespace(namespace)
	var sources v1alpha1.S3SourceList
	_ = w.Client.List(ctx, &sources, in)
	for i := range sources.Items {
		fmt.Fprintf(&out, "S3Source %s:%s\n", sources.Items[i].Name, conditions(sources.Items[i].Status.Conditions))
	}
	var imports v1alpha1.S3ImportList
	_ = w.Client.List(ctx, &imports, in)
	for i := range imports.Items {
		st := imports.Items[i].Status
		fmt.Fprintf(
			&out,
			"S3Import %s: %s, attempts %d, progress %+v%s\n",
			imports.Items[i].Name,
			st.Phase,
			st.Attempts,
			st.Progress,
			conditions(st.Conditions),
		)
		describeImport(&out, &imports.Items[i])
	}
	describeExports(ctx, w.Client, &out, in)
	var claims corev1.PersistentVolumeClaimList
	_ = w.Client.List(ctx, &claims, in)
	for i := range claims.Items {
		w.describeClaim(ctx, &out, &claims.Items[i])
	}
	var pods corev1.PodList
	_ = w.Client.List(ctx, &pods, in)
	for i := range pods.Items {
		out.WriteString(w.describePod(ctx, &pods.Items[i]) + "\n")
	}
	var events corev1.EventList
	_ = w.Client.List(ctx, &events, in)
	slices.SortFunc(events.Items, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b).Time) })
	for _, e := range events.Items {
		fmt.Fprintf(
			&out,
			"event %s %s %s/%s: %s: %s\n",
			eventTime(e).Format("15:04:05.000"),
			e.Type,
			strings.ToLower(e.InvolvedObject.Kind),
			e.InvolvedObject.Name,
			e.Reason,
			e.Message,
		)
	}
	out.WriteString(w.moverTails(namespace))
	return out.String()
}

func (w *World) describeClaim(ctx context.Context, out *strings.Builder, c *corev1.PersistentVolumeClaim) {
	fmt.Fprintf(out, "claim %s (%s): %s, volume %q, annotations %v\n",
		c.Name, c.UID, c.Status.Phase, c.Spec.VolumeName, c.Annotations)
	for _, k := range c.Status.Conditions {
		fmt.Fprintf(out, "  %s=%s %s: %s\n", k.Type, k.Status, k.Reason, k.Message)
	}
	v := &corev1.PersistentVolume{}
	if c.Spec.VolumeName != "" && w.Client.Get(ctx, client.ObjectKey{Name: c.Spec.VolumeName}, v) == nil {
		fmt.Fprintf(out, "  volume %s: %s %s, claimRef %s, annotations %v\n",
			v.Name, v.Status.Phase, v.Spec.PersistentVolumeReclaimPolicy, v.Spec.ClaimRef.Name, v.Annotations)
	}
}

// describePod tells a pod's state and, when it failed, its last words.
func (w *World) describePod(ctx context.Context, p *corev1.Pod) string {
	var out strings.Builder
	fmt.Fprintf(&out, "pod %s: %s %s %s", p.Name, p.Status.Phase, p.Status.Reason, p.Status.Message)
	for _, c := range p.Status.Conditions {
		if c.Status != corev1.ConditionTrue && c.Message != "" {
			fmt.Fprintf(&out, "\n  %s: %s: %s", c.Type, c.Reason, c.Message)
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil:
			fmt.Fprintf(&out, "\n  %s waits: %s %s", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Terminated != nil:
			fmt.Fprintf(
				&out,
				"\n  %s ended with %d: %s %s",
				c.Name,
				c.State.Terminated.ExitCode,
				c.State.Terminated.Reason,
				c.State.Terminated.Message,
			)
		}
		if c.RestartCount > 0 {
			fmt.Fprintf(&out, " (restarted %d times)", c.RestartCount)
		}
	}
	if p.Status.Phase == corev1.PodFailed || p.Namespace == SystemNamespace {
		last := &corev1.PodLogOptions{TailLines: new(int64(20))}
		text, _ := w.Kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, last).DoRaw(ctx)
		fmt.Fprintf(&out, "\n  log: %s", strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  log: "))
	}
	return out.String()
}

func conditions(all []metav1.Condition) string {
	var out strings.Builder
	for _, c := range all {
		fmt.Fprintf(&out, " %s=%s %s (%s)", c.Type, c.Status, c.Reason, c.Message)
	}
	return out.String()
}

func eventTime(e corev1.Event) metav1.Time {
	switch {
	case !e.EventTime.IsZero():
		return metav1.Time{Time: e.EventTime.Time}
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	}
	return e.CreationTimestamp
}
