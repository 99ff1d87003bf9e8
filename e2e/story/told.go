// SPDX-License-Identifier: Apache-2.0

package story

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// mostRepeats is how often one event of ours may be repeated in a story. What is waited
// for is told once; more than a few repeats are a loop.
const mostRepeats = 3

// told is an event of the manager, as it was last seen.
type told struct {
	namespace string // of the story
	volume    string // that it is about, whose namespace is that of its claims
	kind      string // Normal or Warning
	reason    string
	message   string
	repeats   int32
}

// hear notes an event of the manager.
func (o *Observer) hear(e *corev1.Event) {
	if t, ok := toldBy(e); ok {
		o.told[e.UID] = t
		o.active[t.namespace] = true
	}
}

// toldBy reads an event; false for one that is not the manager's.
func toldBy(e *corev1.Event) (told, bool) {
	if e.ReportingController != ManagerName && e.Source.Component != ManagerName {
		return told{}, false
	}
	t := told{namespace: e.InvolvedObject.Namespace, kind: e.Type, reason: e.Reason, message: e.Message, repeats: e.Count}
	if e.Series != nil {
		t.repeats = e.Series.Count
	}
	if e.InvolvedObject.Kind == "PersistentVolume" {
		t.volume = e.InvolvedObject.Name
	}
	return t, true
}

// place finds the stories of events about volumes, which may be seen before the volumes are.
func (o *Observer) place() {
	for uid, t := range o.told {
		if v := o.invariants.volumes[t.volume]; t.namespace == "" && v != nil {
			t.namespace = v.namespace
			o.told[uid] = t
		}
	}
}

// acted notes that there was something of ours in a namespace, so that a story in which
// nothing was observed, as with a dead watch, is no story that went well.
func (o *Observer) acted(obj any) {
	switch v := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		if ownerClaim(v) != "" || condition(v).Type != "" {
			o.active[v.Namespace] = true
		}
	case *corev1.Pod:
		if v.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
			o.active[v.Namespace] = true
		}
	case *v1alpha1.S3Import:
		o.active[v.Namespace] = true
	case *v1alpha1.S3Export:
		o.active[v.Namespace] = true
	}
}

// judgeTold compares what the manager told in a namespace with what a story provokes: no other
// warning, and nothing again and again.
func judgeTold(all map[types.UID]told, namespace string, provoked []string) (wrong []string) {
	for _, t := range all {
		if t.namespace != namespace || t.slow() {
			continue
		}
		if t.kind == corev1.EventTypeWarning && !slices.Contains(provoked, t.reason) {
			wrong = append(wrong, fmt.Sprintf("the manager warned: %s: %s", t.reason, t.message))
		}
		if t.repeats > mostRepeats {
			wrong = append(wrong, fmt.Sprintf("the manager told %d times: %s: %s", t.repeats, t.reason, t.message))
		}
	}
	slices.Sort(wrong)
	return wrong
}

// busy is what is said of a pod that starts late on a machine which is busy with other stories: nobody reports any
// trouble, or the pods of the others leave no room on the one node, or the kubelet waits for what it has asked for. The
// last two are of a first try: the API server had not seen yet that the node may read the claim of the pod, after which
// the kubelet rests for 10 to 15 s, or the scheduler that it was bound, before which no mover is made.
var busy = []string{
	": see `kubectl describe ", "Insufficient cpu", "Insufficient memory",
	"timed out waiting for the condition", "context deadline exceeded",
	"no relationship found between node ", "pod has unbound immediate PersistentVolumeClaims",
}

// slow tells of a pod, or of a temporary claim, that was not there in time only because the machine is busy, which is
// no defect.
func (t told) slow() bool {
	says := func(text string) bool { return strings.Contains(t.message, text) }
	if t.reason == string(v1alpha1.ReasonProvisioning) {
		return says("is not bound yet; does CSI driver") // Nobody has said more of it.
	}
	starts := strings.HasSuffix(t.reason, "Pending") || t.reason == string(v1alpha1.ReasonPruneHeld)
	late := says(" cannot start") || says(" cannot be scheduled yet") // The latter is said of a consumer.
	return starts && late && slices.ContainsFunc(busy, says)
}

// untold are the warnings that a story provokes and that never came.
func untold(all map[types.UID]told, namespace string, provoked []string) (missing []string) {
	for _, reason := range provoked {
		came := false
		for _, t := range all {
			came = came || t.namespace == namespace && t.kind == corev1.EventTypeWarning && t.reason == reason
		}
		if !came {
			missing = append(missing, reason)
		}
	}
	return missing
}
