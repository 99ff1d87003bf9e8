// SPDX-License-Identifier: Apache-2.0

package final

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Action is the one step that a pass may make.
type Action string

// The actions, in the order of a final export.
const (
	Wait              Action = "Wait"
	AddFinalizer      Action = "AddFinalizer"
	CreateExportClaim Action = "CreateExportClaim"
	// TakeVolume hands the volume to the export claim, with the policy Retain.
	TakeVolume   Action = "TakeVolume"
	CreateExport Action = "CreateExport"
	DeleteExport Action = "DeleteExport"
	DeletePod    Action = "DeletePod"
	// ReturnVolume hands it back with its own policy.
	ReturnVolume      Action = "ReturnVolume"
	DeleteExportClaim Action = "DeleteExportClaim"
	RemoveFinalizer   Action = "RemoveFinalizer"
)

// Decision is what a pass does and says. Without a Reason the condition stays as it is.
type Decision struct {
	Action  Action
	Status  corev1.ConditionStatus
	Reason  v1alpha1.Reason
	Message string
	// Recheck looks again without being woken; zero waits for a watch.
	Recheck time.Duration
}

// recheck is the net below the watches, while a claim that is being deleted waits.
const recheck = 30 * time.Second

// soon is for what no watch tells of.
const soon = 5 * time.Second

// rule decides, or passes by returning false, and may rely on every rule above it having passed.
type rule func(State) (Decision, bool)

// rules in order; the first that decides wins.
func rules() []rule {
	return []rule{
		holdWhatIsSelected,
		// From here on the claim is being deleted, or is gone.
		leaveForeign, giveBack, abandonStrangeExportClaim, restoreExportClaim, keepTaken, waitForBound, runExport,
		// From here on the volume is not taken.
		cleanUpAfter, letGo,
		// From here on it is to be taken.
		waitForUsers, waitForVolume, askWhereTo, makeExportClaim,
		takeVolume,
	}
}

// Decide is total: the last rule always decides.
func Decide(s State) Decision {
	for _, r := range rules() {
		if d, ok := r(s); ok {
			return d
		}
	}
	return Decision{Action: Wait}
}

func does(a Action) (Decision, bool) { return Decision{Action: a}, true }

// because waits and tells why.
func because(status corev1.ConditionStatus, reason v1alpha1.Reason, message string) Decision {
	return Decision{Action: Wait, Status: status, Reason: reason, Message: message, Recheck: recheck}
}

func passes() (Decision, bool) { return Decision{}, false }

// holdWhatIsSelected keeps our finalizer on the claims that ask for it or that a policy selects, and on no others.
// Once a claim is being deleted nothing but the end of its export takes it off. In a namespace that is being deleted
// the policies may go first; that takes it off no claim, so that one that goes unexported is told of.
func holdWhatIsSelected(s State) (Decision, bool) {
	switch {
	case s.Claim == nil || s.Claim.DeletionTimestamp != nil:
		return passes()
	case s.selected() && !Held(s.Claim):
		return does(AddFinalizer)
	case !s.unasked():
		return does(Wait)
	case s.Unasked < unaskedPatience:
		return Decision{Action: Wait, Recheck: unaskedPatience - s.Unasked}, true
	}
	return Decision{
		Action: RemoveFinalizer,
		Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonFinalExportNotAsked, Message: tellNotAsked(),
	}, true
}

// leaveForeign: somebody gave the taken volume to another claim. Nothing is written to it any more.
func leaveForeign(s State) (Decision, bool) {
	if !s.taken() || !s.foreign() || s.skipped() || s.Leaving {
		return passes()
	}
	return because(corev1.ConditionFalse, v1alpha1.ReasonVolumeTaken, tellTaken(s)), true
}

// over tells that the volume is to be given back: its export is complete, is not wanted any more, or
// cannot be made.
func over(s State) bool {
	return s.complete() || s.skipped() || s.Leaving || s.free() && s.Export == nil
}

// giveBack ends what reads the volume, and hands it back.
func giveBack(s State) (Decision, bool) {
	if !s.taken() || !over(s) || s.foreign() {
		return passes()
	}
	if s.ownsExport() && !s.complete() && s.Export.DeletionTimestamp == nil {
		return does(DeleteExport)
	}
	if len(s.Pods) == 0 {
		return withRecord(s, ReturnVolume)
	}
	d := because(corev1.ConditionUnknown, v1alpha1.ReasonFinalExportEnding, tellEnding(s))
	d.Recheck = soon
	if podToEnd(s) != nil {
		d.Action = DeletePod
	}
	return d, true
}

// podToEnd is one of ours that nobody has ended yet.
func podToEnd(s State) *corev1.Pod {
	for i := range s.Pods {
		if p := &s.Pods[i]; p.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy && p.DeletionTimestamp == nil {
			return p
		}
	}
	return nil
}

// abandonStrangeExportClaim: the name of the export claim is somebody else's.
func abandonStrangeExportClaim(s State) (Decision, bool) {
	if s.ExportClaim == nil || s.ownsExportClaim() || s.free() && !s.taken() || !s.taken() && ended(s) {
		return passes()
	}
	return because(
		corev1.ConditionFalse,
		v1alpha1.ReasonExportClaimConflict,
		tellConflict("PersistentVolumeClaim "+s.ExportClaim.Name),
	), true
}

// restoreExportClaim makes the export claim anew that somebody deleted.
func restoreExportClaim(s State) (Decision, bool) {
	if !s.taken() || s.foreign() {
		return passes()
	}
	switch {
	case s.ExportClaim == nil:
		return does(CreateExportClaim)
	case s.ExportClaim.DeletionTimestamp == nil:
		return passes()
	case endedPod(s) != nil:
		return does(DeletePod)
	case s.Export == nil:
		return running(s, "The export claim is being deleted; another one is made then.")
	}
	return passes() // What reads the volume now may end well.
}

// endedPod is one of ours that keeps an export claim only by being there.
func endedPod(s State) *corev1.Pod {
	p := podToEnd(s)
	if p != nil && (p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed) {
		return p
	}
	return nil
}

// keepTaken points the volume at the export claim as it is now.
func keepTaken(s State) (Decision, bool) {
	if !s.taken() || s.foreign() || s.recorded() && s.keeps() {
		return passes()
	}
	return withRecord(s, TakeVolume)
}

// withRecord writes the volume, and tells where somebody removed what it was to remember.
func withRecord(s State, a Action) (Decision, bool) {
	d := Decision{Action: a}
	if !s.recorded() {
		d.Status, d.Reason, d.Message = corev1.ConditionFalse, v1alpha1.ReasonVolumeUnsettled, tellForgotten(s)
	}
	return d, true
}

func waitForBound(s State) (Decision, bool) {
	if !s.taken() || s.foreign() || s.ExportClaim.Status.Phase == corev1.ClaimBound {
		return passes()
	}
	return running(s, "Kubernetes has not bound the export claim to it yet.")
}

// runExport has the S3Export made that is asked for now.
func runExport(s State) (Decision, bool) {
	// A volume that was given away, where that is not told any more, is not there to be exported.
	if !s.taken() || s.foreign() {
		return passes()
	}
	if s.Export != nil {
		return judgeExport(s)
	}
	if _, wrong := wish(s); wrong != "" {
		return invalid(wrong)
	}
	return does(CreateExport)
}

// judgeExport tells how far the S3Export is, and ends one that is not what is asked for.
func judgeExport(s State) (Decision, bool) {
	switch {
	case !s.ownsExport():
		return because(
			corev1.ConditionFalse,
			v1alpha1.ReasonExportClaimConflict,
			tellConflict("S3Export "+s.Export.Name),
		), true
	case s.Export.DeletionTimestamp != nil:
		return running(s, "The S3Export is being deleted; another one is made then.")
	case superseded(s) && s.free():
		// Only the claim knew what another one is to be like, and without any the volume would be given back.
		return because(corev1.ConditionFalse, v1alpha1.ReasonFinalExportFailed, tellSuperseded(s)), true
	case superseded(s):
		return does(DeleteExport)
	case failed(s.Export):
		return because(corev1.ConditionFalse, v1alpha1.ReasonFinalExportFailed, tellFailed(s)), true
	case succeeded(s.Export):
		return because(corev1.ConditionFalse, v1alpha1.ReasonFinalExportFailed, tellNotBelieved(s)), true
	}
	return running(s, tellProgress(s.Export))
}

// superseded tells that an export began with an export claim that somebody deleted, or that another one is asked
// for by now.
func superseded(s State) bool {
	if begun := s.Export.Status.ClaimUID; begun != "" && begun != string(s.ExportClaim.UID) {
		return true
	}
	template, wrong := wish(s)
	return !s.free() && wrong == "" && s.Export.Annotations[v1alpha1.AnnotationRequestHash] != hashOf(s, template)
}

func running(s State, how string) (Decision, bool) {
	if s.Volume.DeletionTimestamp != nil && s.record().Policy == corev1.PersistentVolumeReclaimDelete {
		return because(corev1.ConditionFalse, v1alpha1.ReasonVolumeUnsettled, tellVolumeDeleted(s)+" "+how), true
	}
	return because(corev1.ConditionUnknown, v1alpha1.ReasonFinalExportRunning, tellRunning(s, how)), true
}

func invalid(wrong string) (Decision, bool) {
	return because(corev1.ConditionFalse, v1alpha1.ReasonInvalidAnnotations, tellInvalid(wrong)), true
}

// ended tells that the claim may go: it was exported, or that is not wanted, or there is nothing to export.
func ended(s State) bool {
	return s.exported() || s.skipped() || s.Leaving || !hasVolume(s)
}

// hasVolume tells that the claim is bound to a volume that is its own.
func hasVolume(s State) bool {
	if s.Volume == nil || s.Claim == nil || s.Claim.Spec.VolumeName != s.Volume.Name || block(s.Claim) {
		return false
	}
	return s.Volume.Spec.ClaimRef == nil || refersTo(s.Volume, s.UID)
}

// cleanUpAfter removes what is left of ours when the volume is not taken and will not be.
func cleanUpAfter(s State) (Decision, bool) {
	if !s.free() && !ended(s) {
		return passes()
	}
	switch {
	case s.ownsExport() && !s.finished() && s.Export.DeletionTimestamp == nil:
		return does(DeleteExport)
	case s.ExportClaim != nil && s.ours(s.ExportClaim.Labels) && s.ExportClaim.DeletionTimestamp == nil:
		return does(DeleteExportClaim)
	case s.ExportClaim != nil && s.ours(s.ExportClaim.Labels):
		return exportClaimGoes(s, "This claim goes")
	}
	return passes()
}

// letGo takes our finalizer off a claim that may go.
func letGo(s State) (Decision, bool) {
	switch {
	case s.free() && s.selected() && !ended(s):
		return Decision{
			Action: Wait, Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonFinalExportSkipped, Message: tellNotHeld(s),
		}, true
	case s.free():
		return does(Wait)
	case !ended(s):
		return passes()
	}
	d := Decision{
		Action: RemoveFinalizer,
		Status: corev1.ConditionFalse, Reason: v1alpha1.ReasonFinalExportSkipped, Message: tellSkipped(s),
	}
	if s.exported() {
		d.Status, d.Reason, d.Message = corev1.ConditionTrue, v1alpha1.ReasonFinalExportComplete, tellComplete(s)
	}
	return d, true
}

// waitForUsers: pods, snapshots and clones first, then the nodes on which a pod that is gone may go on writing.
func waitForUsers(s State) (Decision, bool) {
	switch {
	case used(s.Claim):
		return because(corev1.ConditionUnknown, v1alpha1.ReasonClaimInUse, tellInUse(s)), true
	case len(s.Attachments) > 0:
		return because(corev1.ConditionUnknown, v1alpha1.ReasonVolumeAttached, tellAttached(s)), true
	}
	return passes()
}

// waitForVolume: its claimRef is being written, or a population or another claim's export has it.
func waitForVolume(s State) (Decision, bool) {
	for _, name := range []string{
		v1alpha1.AnnotationScratchFor, v1alpha1.AnnotationReleasing, v1alpha1.AnnotationFinalExport,
	} {
		if s.Volume.Annotations[name] != "" {
			return unsettled(s, "it has the annotation "+name)
		}
	}
	switch {
	case s.Volume.Spec.ClaimRef == nil:
		return unsettled(s, "it has no claimRef")
	case s.Volume.DeletionTimestamp != nil:
		// The policy Retain takes the provisioner's finalizer off it, and nobody would destroy the disk.
		return unsettled(s, "it is being deleted, which cannot be undone, so that it is not touched")
	}
	return passes()
}

func unsettled(s State, why string) (Decision, bool) {
	return because(corev1.ConditionFalse, v1alpha1.ReasonVolumeUnsettled, tellUnsettled(s, why)), true
}

func askWhereTo(s State) (Decision, bool) {
	if _, wrong := wish(s); wrong != "" {
		return invalid(wrong)
	}
	return passes()
}

func makeExportClaim(s State) (Decision, bool) {
	switch {
	case s.ExportClaim == nil:
		return does(CreateExportClaim)
	case s.ExportClaim.DeletionTimestamp != nil:
		return exportClaimGoes(s, "The export begins")
	}
	return passes()
}

// exportClaimGoes waits for an export claim that something keeps, such as a snapshot or a backup.
func exportClaimGoes(s State, then string) (Decision, bool) {
	return because(corev1.ConditionUnknown, v1alpha1.ReasonFinalExportEnding, tellExportClaimGoes(s, then)), true
}

func takeVolume(State) (Decision, bool) { return does(TakeVolume) }
