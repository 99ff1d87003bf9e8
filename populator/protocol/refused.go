// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// WriteRefused is what is told of a decision whose write the API server did not accept, in
// the server's words. A claim that is told to be complete stays so: what is refused then is
// tidying up, and only an event speaks of it.
func WriteRefused(s State, d Decision, words string) Decision {
	message := fmt.Sprintf(
		"The API server did not let the manager %s: %s It is tried again at least once a minute.",
		purpose(s, d.Action),
		sentence(words),
	)
	if was, _ := Populated(s.Claim); was.Status == corev1.ConditionTrue || s.Claim.DeletionTimestamp != nil {
		return Decision{Action: Wait, Announce: v1alpha1.ReasonWriteRefused, Message: message}
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonWriteRefused, message)
}

// ReadFailed is what is told of a claim for which the API server does not answer what a
// decision rests on. A claim that is told to be complete stays so.
func ReadFailed(s State, words string) Decision {
	if was, _ := Populated(s.Claim); was.Status == corev1.ConditionTrue {
		return Decision{Action: Wait}
	}
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonReadFailed, fmt.Sprintf(
		"The API server does not answer what has to be known before anything is written: %s It is asked again at least "+
			"once a minute; population then goes on.",
		sentence(words),
	))
}

// purpose is what the write of an action is for, so that "let the manager" may stand before it.
func purpose(s State, a Action) string {
	prime, mover := PrimeName(s.Claim), MoverName(s.Claim)
	volume := ""
	if s.PrimeVolume != nil {
		volume = s.PrimeVolume.Name
	}
	words := map[Action]string{
		CreatePrime:    "create claim " + prime,
		ReleaseNode:    "take the annotation " + v1alpha1.AnnotationSelectedNode + " off this claim",
		SelectNode:     "annotate claim " + prime + " with its node",
		MarkScratch:    "give volume " + volume + " the reclaim policy Delete until it is filled",
		KeepVolume:     "give volume " + volume + " the reclaim policy Retain, because it is not empty",
		StartMover:     "create pod " + mover,
		RecordFailure:  "record on claim " + prime + " how pod " + mover + " ended",
		RecordFound:    "record on claim " + prime + " what pod " + mover + " found on the volume",
		DeleteMover:    "delete pod " + mover,
		MarkPopulated:  "record on claim " + prime + " that its data is complete",
		Rebind:         "hand volume " + volume + " over to this claim",
		RecordEdit:     "record on claim " + prime + " that the request has changed",
		RememberSize:   "record on this claim how large its volume has to be",
		StartConsumer:  "create pod " + ConsumerName(s.Claim),
		DeleteConsumer: "delete pod " + ConsumerName(s.Claim),
		ReleaseVolume:  "release volume " + volume + ", which was not provisioned for this claim",
		RememberPrime:  "record on this claim how its next prime claim is created",
		DeletePrime:    "delete claim " + prime,
		ReplacePrime:   "delete claim " + prime,
	}
	if said, ok := words[a]; ok {
		return said
	}
	return "write (" + string(a) + ")"
}
