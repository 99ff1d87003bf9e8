// SPDX-License-Identifier: Apache-2.0

package final

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// howToSkip is the way out that every message names which may need it.
const howToSkip = "To delete the claim without this export, annotate it with " +
	v1alpha1.AnnotationSkipFinalExport + "=" + v1alpha1.SkipFinalExport + "."

func tellInUse(s State) string {
	return fmt.Sprintf("The claim is exported before it goes, because %s asks for it. That begins when no pod, snapshot "+
		"or clone uses it any more. %s", s.asker(), howToSkip)
}

func tellAttached(s State) string {
	return fmt.Sprintf("The claim is exported before it goes. Its volume %s is still attached to %s, where a process may "+
		"go on writing; the export begins when it is detached. %s",
		s.Volume.Name, strings.Join(s.Attachments, ", "), howToSkip)
}

func tellUnsettled(s State, why string) string {
	return fmt.Sprintf(
		"The claim is exported before it goes, but its volume %s is in other hands: %s. The export begins when "+
			"that is over. %s",
		s.Volume.Name,
		why,
		howToSkip,
	)
}

func tellForgotten(s State) string {
	return fmt.Sprintf(
		"Somebody removed or changed the annotation %s of volume %s while it was exported, so that its own reclaim "+
			"policy is not known any more. It is given back with the policy Retain: its disk stays when the claim is "+
			"gone, and has to be deleted by hand. %s",
		v1alpha1.AnnotationFinalExport,
		s.Volume.Name,
		howToSkip,
	)
}

func tellInvalid(wrong string) string {
	return "The claim is to be exported before it goes, but it does not say where to: " + wrong +
		". Correct that; nothing is deleted meanwhile. " + howToSkip
}

func tellConflict(what string) string {
	return fmt.Sprintf(
		"The claim is to be exported before it goes, but %s exists and was not made for that. Delete it; the "+
			"claim and its volume are kept meanwhile. %s",
		what,
		howToSkip,
	)
}

func tellExportClaimGoes(s State, then string) string {
	return fmt.Sprintf("Claim %s, which is there for the export before this claim goes, is being deleted; what keeps "+
		"it are the finalizers %s. %s when it is gone.",
		s.ExportClaim.Name, strings.Join(s.ExportClaim.Finalizers, ", "), then)
}

func tellTaken(s State) string {
	ref := s.Volume.Spec.ClaimRef
	return fmt.Sprintf(
		"The volume %s was being exported, and somebody gave it to claim %s/%s. It is left alone. Point its "+
			"claimRef at %s again to go on. %s",
		s.Volume.Name,
		ref.Namespace,
		ref.Name,
		ExportClaimName(s.UID),
		howToSkip,
	)
}

// tellVolumeDeleted: a volume goes while it is exported, and with the policy Retain nobody destroys its disk.
func tellVolumeDeleted(s State) string {
	return fmt.Sprintf(
		"Somebody deleted the volume %s while it was exported. Its disk is not destroyed with it: note %s, and delete "+
			"the disk by hand when the claim is gone. %s",
		s.Volume.Name,
		diskOf(s.Volume),
		howToSkip,
	)
}

func diskOf(volume *corev1.PersistentVolume) string {
	if csi := volume.Spec.CSI; csi != nil {
		return fmt.Sprintf("volume handle %s of driver %s", csi.VolumeHandle, csi.Driver)
	}
	return "where the volume's spec says that it is"
}

func tellRunning(s State, how string) string {
	return fmt.Sprintf(
		"The claim is exported before it goes, because %s asks for it. Its volume %s belongs to claim %s meanwhile, "+
			"which is why this claim is Lost: nothing is lost, the volume comes back. %s %s",
		s.asker(),
		s.Volume.Name,
		ExportClaimName(s.UID),
		how,
		howToSkip,
	)
}

func tellProgress(e *v1alpha1.S3Export) string {
	phase := e.Status.Phase
	if phase == "" {
		phase = v1alpha1.ExportPending
	}
	c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionComplete)
	if c == nil || c.Message == "" || phase == v1alpha1.ExportRunning {
		return fmt.Sprintf("S3Export %s is %s.", e.Name, phase)
	}
	return fmt.Sprintf("S3Export %s is %s: %s: %s", e.Name, phase, c.Reason, c.Message)
}

func tellFailed(s State) string {
	why := ""
	if c := meta.FindStatusCondition(s.Export.Status.Conditions, v1alpha1.ConditionFailed); c != nil {
		why = c.Reason + ": " + c.Message
	}
	return fmt.Sprintf("The export before deletion failed, and the claim and its volume %s are kept. %s %s%s",
		s.Volume.Name, why, howToRetry(s), howToGiveUp(s)) + namesToSkip(s)
}

// howToRetry is what begins another export. A claim that nobody holds for us begins none, and without a place a token
// begins none either.
func howToRetry(s State) string {
	if s.free() {
		return ""
	}
	if _, wrong := wish(s); wrong != "" {
		return fmt.Sprintf("Correct the cause, and say where to, because %s; then try again with a new value of the "+
			"annotation %s. ", wrong, v1alpha1.AnnotationRetry)
	}
	by := "its annotation " + v1alpha1.AnnotationExportTo
	if p, _ := s.policy(); p != nil && !Selected(s.Claim) {
		by = "S3ExportPolicy " + p.Name
	}
	return fmt.Sprintf("Correct the cause, then try again with a new value of the annotation %s, or with another place: "+
		"%s says where to. ", v1alpha1.AnnotationRetry, by)
}

// namesToSkip is the way out where names on the volume are no keys: no pod can use the claim to rename them.
func namesToSkip(s State) string {
	c := meta.FindStatusCondition(s.Export.Status.Conditions, v1alpha1.ConditionFailed)
	refused := c != nil && c.Reason == reasonUnsafePath || succeeded(s.Export) && whole(s.Export) && !s.allNames()
	if !refused || s.free() {
		return ""
	}
	if p, _ := s.policy(); p != nil && !Selected(s.Claim) {
		return " To leave those files out, set spec.template.unsafePaths of S3ExportPolicy " + p.Name + " to Skip."
	}
	return " To leave those files out, annotate the claim with " + v1alpha1.AnnotationExportUnsafePaths + "=Skip."
}

// reasonUnsafePath is that of a mover; docs/operations.md has it.
const reasonUnsafePath = "UnsafePath"

// howToGiveUp is the way out where no claim is left to be annotated.
func howToGiveUp(s State) string {
	if !s.free() {
		return howToSkip
	}
	return fmt.Sprintf(
		"The claim is not held any more, so that it is not tried again: copy the data from claim %s/%s. To give the "+
			"volume up, delete S3Export %s; then it is handled by its own reclaim policy, %s.",
		s.Namespace, ExportClaimName(s.UID), s.Export.Name, s.record().Policy,
	)
}

func tellSuperseded(s State) string {
	return fmt.Sprintf("The export claim of volume %s was deleted during the export, and made anew. %s",
		s.Volume.Name, howToGiveUp(s))
}

// tellNotBelieved: the S3Export says that it is complete, and giveBack does not believe it.
func tellNotBelieved(s State) string {
	why := "it was not asked for all of the volume"
	switch e := s.Export.Status; {
	case e.ChangedFiles > 0:
		why = fmt.Sprintf("%d files changed while they were read, so that something else writes to the volume",
			e.ChangedFiles)
	case e.GoneFiles > 0:
		why = fmt.Sprintf("%d files were removed, renamed or moved meanwhile, so that something else writes to the volume",
			e.GoneFiles)
	case s.emptied():
		run, files, links := s.earlier()
		why = fmt.Sprintf("it has no regular file, and S3Export %s of this claim had %d files, so that the disk may not "+
			"have been mounted", run, files+links)
	case whole(s.Export) && !s.allNames() && s.Export.Spec.UnsafePaths != v1alpha1.UnsafePathsSkip:
		why = fmt.Sprintf("%d directories with names of the storage, such as .snapshots, are at the root of the volume and "+
			"not empty, and are left out", s.Export.Status.SkippedPaths)
	case whole(s.Export) && !s.allNames():
		why = "names that cannot be keys were left out, which nothing asks for now"
	case s.Export.Status.ClaimUID == "":
		why = "its status does not say which claim it read"
	}
	next := howToRetry(s) + howToGiveUp(s)
	if s.emptied() && !s.free() { // No try finds a file on a volume that was emptied on purpose.
		next = "If it was emptied on purpose, let it go. " + howToSkip + " If not: " + strings.TrimRight(howToRetry(s), " ")
	}
	return fmt.Sprintf("The S3Export %s is complete, but %s. The claim and its volume %s are kept. %s",
		s.Export.Name, why, s.Volume.Name, next) + namesToSkip(s)
}

func tellEnding(s State) string {
	p := s.Pods[0]
	return fmt.Sprintf("The volume %s is given back when pod %s, which uses it, has ended.", s.Volume.Name, p.Name)
}

func tellComplete(s State) string {
	text := fmt.Sprintf("The volume %s was exported to %s.", s.Volume.Name,
		s.Volume.Annotations[v1alpha1.AnnotationExportedTo])
	if s.ownsExport() && s.Export.Status.SkippedPaths > 0 {
		text += fmt.Sprintf(" %d paths were left out, because they cannot be keys or are the storage's.",
			s.Export.Status.SkippedPaths)
	}
	return text
}

func tellSkipped(s State) string {
	var why string
	switch {
	case s.skipped():
		why = "its annotation " + v1alpha1.AnnotationSkipFinalExport + " says so"
	case s.Leaving:
		why = "its namespace is being deleted, in which nothing can run"
	default:
		why = "it has no volume of files that is its own"
	}
	return fmt.Sprintf("Claim %s/%s was deleted without the export that %s asks for: %s.",
		s.Namespace, s.Name, s.asker(), why)
}

// tellNotHeld: the deletion came before our finalizer, which cannot be set any more, or somebody took it off.
func tellNotHeld(s State) string {
	return fmt.Sprintf("Claim %s/%s goes without the export that %s asks for: it does not have the "+
		"finalizer %s, and a claim that is being deleted can be given none. Its volume %s goes with it if its policy is "+
		"Delete; set that to Retain to keep the data.",
		s.Namespace, s.Name, s.asker(), v1alpha1.FinalizerFinalExport, s.Volume.Name)
}

// condition is what a decision says on the claim; false where that is told already.
func condition(s State, d Decision) (corev1.PersistentVolumeClaimCondition, bool) {
	next := corev1.PersistentVolumeClaimCondition{
		Type: v1alpha1.ConditionFinalExport, Status: d.Status, Reason: string(d.Reason), Message: d.Message,
	}
	if d.Reason == "" || s.Claim == nil {
		return next, false
	}
	for _, was := range s.Claim.Status.Conditions {
		if was.Type == next.Type {
			if was.Status == next.Status {
				next.LastTransitionTime = was.LastTransitionTime
			}
			return next, was.Status != next.Status || was.Reason != next.Reason || was.Message != next.Message
		}
	}
	return next, true
}

// warning reasons need somebody to act.
func eventType(d Decision) string {
	if d.Status == corev1.ConditionFalse {
		return corev1.EventTypeWarning
	}
	return corev1.EventTypeNormal
}
