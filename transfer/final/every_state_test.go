// SPDX-License-Identifier: Apache-2.0

package final

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// all combinations of these are played: one of each list, nil for none.
var choices = [][]change{
	{nil, released, gone},
	{nil, skipped, leaving},
	{nil, inUseByPods, attachedTo},
	{nil, unselected, nowhere, byPolicy, both(unselected, byPolicy), both(nowhere, byPolicy)},
	{
		nil, noVolume, noRef, givenAway, exported, taken, noted,
		both(taken, noRef), both(taken, givenAway), both(taken, refersToUID("earlier")), both(taken, refersToUID(uid)),
		both(
			taken,
			withPolicy("Delete"),
		), both(taken, byHand),
		both(taken, forgotten), both(taken, marked(v1alpha1.AnnotationFinalExport)), marked(v1alpha1.AnnotationScratchFor),
	},
	{nil, exportClaim, exportClaimPending, exportClaimGoing, strangeExportClaim},
	{
		nil, run, complete, but(changed), but(movedAway), but(leftOut), but(ofAnother), but(filtered), emptied, failing,
		outdated, runGoing, strangeRun,
	},
	{nil, pod(ourLabels, corev1.PodRunning), pod(ourLabels, corev1.PodFailed), pod(nil, corev1.PodRunning)},
}

// living claims are only looked at by themselves.
var living = [][]change{
	{
		alive,
		both(alive, released),
	},
	{nil, skipped, leaving},
	{nil, inUseByPods},
	{nil, unselected, nowhere, byPolicy, both(unselected, byPolicy), both(unselected, byUnclearPolicy)},
	{nil, noVolume},
	{nil, longUnasked},
}

func both(a, b change) change {
	return func(s *State) {
		a(s)
		b(s)
	}
}

// TestEveryState judges what is decided in each of some five hundred thousand states by rules that are written
// without looking at decide.go: what each action may only be done upon.
func TestEveryState(t *testing.T) {
	seen := map[Action]int{}
	judge := func(changes []change) {
		s := build(changes)
		d := Decide(s)
		seen[d.Action]++
		if why := wrong(s, d); why != "" {
			t.Fatalf("%s (%s): %s; claim %+v, volume %+v, export claim %+v, export %+v", d.Action, d.Reason, why, s.Claim,
				s.Volume, s.ExportClaim, s.Export)
		}
	}
	every(living, nil, judge)
	every(choices, nil, judge)
	for _, a := range []Action{
		Wait, AddFinalizer, CreateExportClaim, TakeVolume, CreateExport, DeleteExport, DeletePod, ReturnVolume,
		DeleteExportClaim, RemoveFinalizer,
	} {
		if seen[a] == 0 {
			t.Errorf("%s was never decided", a)
		}
	}
	t.Logf("%v", seen)
}

func every(of [][]change, chosen []change, f func([]change)) {
	at := len(chosen)
	if at == len(of) {
		f(chosen)
		return
	}
	for _, c := range of[at] {
		every(of, append(chosen[:at:at], c), f)
	}
}

// build applies the changes of the claim last, so that what others made of it was made before it went.
func build(changes []change) State {
	s := world()
	for _, c := range changes[1:] {
		if c != nil {
			c(&s)
		}
	}
	if changes[0] != nil {
		changes[0](&s)
	}
	return s
}

// wrong tells why a decision may not be made.
func wrong(s State, d Decision) string {
	deleting := s.Claim == nil || s.Claim.DeletionTimestamp != nil
	held := s.Claim != nil && Held(s.Claim)
	ask := s.Claim != nil && s.Claim.Annotations[v1alpha1.AnnotationExportOnDelete] == "true" &&
		s.Claim.Annotations[v1alpha1.AnnotationExportTo] != ""
	selects := len(s.Policies) > 0 // Those of these tests select the claim, or may do so.
	skip := s.Claim != nil && s.Claim.Annotations[v1alpha1.AnnotationSkipFinalExport] == "true"
	away := s.Volume != nil && (len(s.Volume.Annotations[v1alpha1.AnnotationFinalExport]) > 1 ||
		s.Volume.Spec.ClaimRef != nil && s.Volume.Spec.ClaimRef.Name == "s3export-claim-uid")
	stranger := s.Volume != nil && s.Volume.Spec.ClaimRef != nil && s.Volume.Spec.ClaimRef.Name == "other"
	own := func(labels map[string]string) bool { return labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport }
	given := s.Volume != nil && s.Volume.Annotations[v1alpha1.AnnotationExportedFor] != ""
	had := s.Earlier != nil || s.Volume != nil &&
		strings.Contains(s.Volume.Annotations[v1alpha1.AnnotationFinalExport], "nightly")
	done := s.Export != nil && own(s.Export.Labels) && s.Export.Status.Phase == v1alpha1.ExportSucceeded &&
		s.Export.Status.ChangedFiles == 0 && s.Export.Status.GoneFiles == 0 && (s.Export.Status.SkippedPaths == 0 || given) &&
		len(s.Export.Spec.Exclude) == 0 && (!had || given)
	done = done &&
		(!away || s.Volume.Spec.ClaimRef != nil && string(s.Volume.Spec.ClaimRef.UID) == s.Export.Status.ClaimUID)
	giveUp := skip || s.Leaving || !held
	switch d.Action {
	case AddFinalizer:
		return unless(!deleting && (ask || selects) && !held, "not a claim that asks for it and is not held")
	case RemoveFinalizer:
		if !deleting {
			return unless(held && !ask && !selects && !s.Leaving && s.Unasked >= time.Minute,
				"its export is asked for, or was a moment ago")
		}
		return unless(held && (!away || stranger) && (given || skip || s.Leaving || s.Volume == nil || stranger),
			"the claim was not exported, or its volume is away")
	case CreateExportClaim:
		return unless(
			deleting && s.ExportClaim == nil && s.Volume != nil && !stranger && (held && !skip && !s.Leaving || away),
			"no export claim is needed",
		)
	case TakeVolume:
		return unless(
			deleting && (held || away && s.Export != nil) && !skip && !s.Leaving && !stranger && s.ExportClaim != nil &&
				own(s.ExportClaim.Labels) && (away || s.Claim != nil && !used(s.Claim) && len(s.Attachments) == 0),
			"the volume may be written to, or is not to be taken",
		)
	case CreateExport:
		return unless(away && held && !stranger && s.Export == nil && s.ExportClaim.Status.Phase == corev1.ClaimBound &&
			s.Volume.Spec.ClaimRef.UID == s.ExportClaim.UID && s.Volume.Spec.PersistentVolumeReclaimPolicy == "Retain",
			"the volume is not the export claim's, or is destroyed with it")
	case DeleteExport:
		return unless(!done && own(s.Export.Labels), "it is complete, or somebody else's")
	case DeletePod:
		return unless(away && podToEnd(s) != nil && (done || giveUp || s.ExportClaim.DeletionTimestamp != nil), "it reads")
	case ReturnVolume:
		return unless(away && !stranger && len(s.Pods) == 0 && (done || giveUp), "it is not complete, or is read")
	case DeleteExportClaim:
		return unless((!away || stranger) && own(s.ExportClaim.Labels), "it has the volume, or is somebody else's")
	case Wait:
		silent := d.Reason == "" && d.Recheck == 0
		return unless(!silent || !deleting || !held, "a claim that is held waits for nothing, and is told nothing")
	}
	return "an action that nobody knows"
}

func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}
