// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/mover/wire"
)

// Ending reads how a mover pod ended; false while it has not. It judges by the mover's own
// container, because an injected sidecar may never end. Success without a report is no
// success: nothing is bound on an exit code.
func Ending(pod *corev1.Pod) (wire.Report, bool) {
	if r, ok := Report(pod); ok {
		return r, true
	}
	if t := terminated(pod); t != nil {
		if killed(pod, t) {
			return wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: killing(pod)}, true
		}
		return wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: withoutReport(t)}, true
	}
	if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
		return wire.Report{}, false
	}
	message := pod.Status.Message
	if message == "" {
		message = "The mover pod ended without a report."
	}
	return wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: message}, true
}

// Vanishing is how a mover ended that is gone, as one that somebody deleted by force, in the state in which it was last
// seen. What it said of a failure counts. Its success does not: the next one proves what is there. Nor is it a failure,
// see EndedFromOutside. Of an import success is believed, and does not come here.
func Vanishing(pod *corev1.Pod, interruption string) wire.Report {
	r, over := Ending(pod)
	switch {
	case over && r.Class != wire.Done:
		return r
	case over:
		interruption = "The mover was complete, and was deleted by someone else before that was recorded. The next one " +
			"finds in place what it has done."
	}
	return wire.Report{Class: wire.Retry, Reason: wire.Interrupted, Message: interruption}
}

// EndedFromOutside tells that nothing has failed in a mover whose end counts as r: it was deleted before it had ended,
// also where it is only seen when it had said so itself, or was killed, evicted, preempted or lost with its node, or it
// was complete, and vanished. A deadline stops a mover, too, and deletes no pod.
func EndedFromOutside(pod *corev1.Pod, r wire.Report) bool {
	said, over := Ending(pod)
	stopped := r.Reason == wire.Interrupted && (said.Class == wire.Done || pod.DeletionTimestamp != nil)
	return !over || Disrupted(pod) || stopped
}

// Report is what a mover itself said when it ended; false where it left nothing to believe.
func Report(pod *corev1.Pod) (wire.Report, bool) {
	t := terminated(pod)
	if t == nil {
		return wire.Report{}, false
	}
	r, err := wire.ParseReport(t.Message)
	return r, err == nil && r.Class.ExitCode() == int(t.ExitCode)
}

// terminated is the end of the mover's own container; nil before that.
func terminated(pod *corev1.Pod) *corev1.ContainerStateTerminated {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == ContainerName && c.State.Terminated != nil {
			return c.State.Terminated
		}
	}
	return nil
}

// killed tells that a mover left no report because its pod was deleted: a signal ended it, mostly when its grace period
// was over, as where a sync hangs. The kubelet says the same of a container that it has lost track of meanwhile. Out of
// memory is the mover's own.
func killed(pod *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	const sigkill, sigterm = 128 + 9, 128 + 15
	return pod.DeletionTimestamp != nil && t.Reason != oomKilled && (t.ExitCode == sigkill || t.ExitCode == sigterm)
}

// killing is for people.
func killing(pod *corev1.Pod) string {
	if Disrupted(pod) {
		return Interruption(pod)
	}
	text := fmt.Sprintf("Pod %s was deleted, and its mover was killed before it had ended", pod.Name)
	if grace := pod.DeletionGracePeriodSeconds; grace != nil {
		text += fmt.Sprintf(", %d s after it was told to", *grace)
	}
	return text + "."
}

// Stopped tells that the kubelet has seen every container of a pod end: no process is left
// that could write, and no grace period is of use to any.
func Stopped(pod *corev1.Pod) bool {
	seen := len(pod.Status.ContainerStatuses) == len(pod.Spec.Containers) &&
		len(pod.Status.InitContainerStatuses) == len(pod.Spec.InitContainers)
	running := func(c corev1.ContainerStatus) bool { return c.State.Terminated == nil }
	return seen && !slices.ContainsFunc(pod.Status.ContainerStatuses, running) &&
		!slices.ContainsFunc(
			pod.Status.InitContainerStatuses,
			running,
		) && !slices.ContainsFunc(pod.Status.EphemeralContainerStatuses, running)
}

// oomKilled is why the kernel ended a container that was out of memory.
const oomKilled = "OOMKilled"

// withoutReport tells how a container ended that left no report. What the runtime said is
// shown: it is all there is to know of a process that was never started.
func withoutReport(t *corev1.ContainerStateTerminated) string {
	if t.Reason == oomKilled {
		return "The mover ran out of memory. Raise spec.mover.resources.limits.memory of the S3Source or S3Export."
	}
	text := fmt.Sprintf("The mover ended with exit code %d and no report (%s).", t.ExitCode, t.Reason)
	if said := oneLine(t.Message); said != "" {
		text += " It said: " + said
	}
	return text
}

// oneLine makes a text of somebody else fit for a condition: printable, on one line, bounded.
func oneLine(text string) string {
	const most = 500 // A sentence of a runtime with a path in it; a condition may have 32 KiB.
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}

// Disrupted tells that a mover was ended from outside: evicted, preempted, or its node lost.
func Disrupted(pod *corev1.Pod) bool {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	switch pod.Status.Reason {
	case "Evicted", "NodeLost", "Shutdown", "Terminated":
		return true
	}
	return false
}

// PendingReason finds the sentence that tells why a pod does not start: that of its own
// status or of an event.
func PendingReason(pod *corev1.Pod, event string) string {
	if why := Waiting(pod); why != "" {
		return why
	}
	if event != "" {
		return event
	}
	return fmt.Sprintf("see `kubectl describe pod %s`", pod.Name)
}

// Waiting is what a pod's own status says about why it does not start: a container's word or
// the scheduler's; empty where only an event can tell.
func Waiting(pod *corev1.Pod) string {
	for _, c := range pod.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Message != "" {
			return w.Reason + ": " + w.Message
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason + ": " + c.Message
		}
	}
	return ""
}
