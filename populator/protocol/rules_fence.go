// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Detaching takes some seconds after a pod is gone, and six minutes from a node that is
// lost; that long it is told of, and looked at again although its end wakes us.
const (
	detachPatience = 30 * time.Second
	detachRecheck  = 10 * time.Second
)

// fenced starts no mover while the volume is still attached for an earlier one. A pod that
// was deleted by force, or whose node is cut off, may go on writing there although its
// object is gone; the attachment is what ends last. A driver that attaches nothing has no
// VolumeAttachments, so there is nothing to wait for.
func fenced(start rule) rule {
	return func(s State) (Decision, bool) {
		d, ok := start(s)
		a := attachedElsewhere(s)
		if !ok || d.Action != StartMover || a == nil {
			return d, ok
		}
		waited := s.Now.Sub(attachedSince(s, a))
		if waited < detachPatience {
			return Decision{Action: Wait, Recheck: detachPatience - waited}, true
		}
		return Because(corev1.ConditionUnknown, v1alpha1.ReasonVolumeAttached, fmt.Sprintf(
			"Volume %s is still attached to node %s (VolumeAttachment %s) for a mover that is gone; the next one starts when it is detached. "+
				"If the node is off for good, delete the Node object or taint it node.kubernetes.io/out-of-service.",
			s.PrimeVolume.Name,
			a.Spec.NodeName,
			a.Name,
		)).Again(detachRecheck), true
	}
}

// attachedElsewhere finds an attachment through which an earlier mover might still write.
// That of the consumer is none: a consumer mounts nothing, and before the first mover there
// was no other pod. Waiting for its end would detach a disk only to attach it again.
func attachedElsewhere(s State) *storagev1.VolumeAttachment {
	if s.PrimeVolume == nil {
		return nil
	}
	harmless := s.PrimeVolume.Annotations[v1alpha1.AnnotationAttachedByConsumer]
	for i := range s.Attachments {
		if harmless == "" || s.Attachments[i].Spec.NodeName != harmless {
			return &s.Attachments[i]
		}
	}
	return nil
}

// attachedSince is a moment from which the wait is counted: the end of the latest attempt,
// else when the volume was attached.
func attachedSince(s State, a *storagev1.VolumeAttachment) time.Time {
	if past := ReadAttempts(s.Prime); !past.At.IsZero() {
		return past.At
	}
	if a.DeletionTimestamp != nil {
		return a.DeletionTimestamp.Time
	}
	return a.CreationTimestamp.Time
}

// consumerNode is the node of the one attachment that a volume has when it is first marked,
// which is before its first mover; empty where no consumer was needed.
func consumerNode(s State) string {
	_, marked := s.PrimeVolume.Annotations[v1alpha1.AnnotationScratchFor]
	if !lateBinding(s) || waitsForConsumer(s) || marked || s.Mover != nil || ReadAttempts(s.Prime).Mover != "" ||
		len(s.Attachments) != 1 {
		return ""
	}
	return s.Attachments[0].Spec.NodeName
}
