// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/provisioner"
	"github.com/s3populator/s3populator/mover/wire"
)

// conditionRow is a row of docs/conditions.md.
type conditionRow struct {
	state string
	in    State
}

// unresolved: the source names an export that nobody has found.
func unresolved(s *State) { s.Source, s.Unresolved = nil, s.Source }

func annotatedClaim(s *State) {
	s.Claim.Spec.DataSourceRef.Name = "data-0123456789"
	if s.Source != nil {
		s.Source.Name = s.Claim.Spec.DataSourceRef.Name
	}
	annotatedLater(s)
}

// annotatedLater keeps the name that the claim was created with.
func annotatedLater(s *State) {
	s.Claim.Annotations[v1alpha1.AnnotationURL] = "s3://datasets/models"
	s.Claim.Annotations[v1alpha1.AnnotationEndpoint] = "http://s3"
}

func badURL(s *State) {
	annotatedClaim(s)
	s.Claim.Annotations[v1alpha1.AnnotationURL] = "ftp://x"
}

func predecessors(s *State) {
	s.Source.OwnerReferences = []metav1.OwnerReference{
		{Kind: "PersistentVolumeClaim", Name: s.Claim.Name, UID: "earlier", Controller: new(true)},
	}
}

func slowBind(s *State) {
	rebound(s)
	s.Now = noon.Add(2 * binderPatience)
}

func badFit(s *State) {
	slowBind(s)
	s.Promised.Spec.VolumeAttributesClassName = new("gold")
}

func waitedOut(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Waits: 3, Movers: 3, Mover: moverUID, At: noon, Since: noon.Add(-time.Hour),
		Reason: wire.EndpointUnreachable, Message: "The connection to s3 was refused.",
	})
}

func gaveUp(s *State) {
	boundPrime(s)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = encoded(Attempts{
		Hash: baseHash(), Pod: basePod(), Failures: 4, Movers: 4, Mover: moverUID, At: noon, Reason: wire.TransferFailed,
		Message: "The disk reports an error.",
	})
}

func relabelledPrime(s *State) {
	withPrime(s)
	s.Prime.Labels[v1alpha1.LabelRole] = "platform"
}

func relabelledMover(s *State) {
	runningMover(s)
	s.Mover.OwnerReferences = []metav1.OwnerReference{ownerReference(s.Claim)}
	delete(s.Mover.Labels, v1alpha1.LabelManagedBy)
}

func twoObjects(s *State) { s.Source.Spec.Objects = make([]v1alpha1.S3Object, 2) }

// conditionRows walk through a claim's life, in the order of the rules.
func conditionRows() []conditionRow {
	var rows []conditionRow
	rows = append(rows, rowsBefore()...)
	rows = append(rows, rowsOfPrime()...)
	rows = append(rows, rowsOfMover()...)
	return append(rows, rowsAfter()...)
}

func rowsBefore() []conditionRow {
	return []conditionRow{
		{"the claim is new, and so may be its source", world(noSource, newClaim)},
		{"there is no S3Source of that name", world(noSource)},
		{"the source names an export that is not there or not complete", world(unresolved)},
		{"annotations describe the source, which is not made yet", world(noSource, annotatedClaim, newClaim)},
		{"annotations describe the source, which does not come", world(noSource, annotatedClaim)},
		{"annotations describe a source, but were added to a claim with a reference", world(noSource, annotatedLater)},
		{"annotations do not describe a source", world(noSource, badURL)},
		{"the annotations' source is somebody else's", world(annotatedClaim)},
		{"the annotations' source is that of an earlier claim", world(annotatedClaim, predecessors)},
		{"the source is in another namespace", world(foreignRef)},
		{"the claim has a selector", world(selector)},
		{"a Block volume of a whole prefix", world(blockMode)},
		{"a Block volume of two objects", world(blockMode, twoObjects)},
		{"no class, and no default one", world(unsetClass)},
		{"the class is \"\"", world(emptyClass)},
		{"the claim is new, and so may be its class", world(noClass, newClaim)},
		{"the class does not exist", world(noClass)},
		{"the provisioner is not CSI", world(noCSI)},
		{"the class's volumes are made by hand", world(class(storagev1.VolumeBindingImmediate, provisioner.None))},
		{"the volume may grow, and the source is not listed", world(growing)},
		{"no pod uses the claim yet", world(lateClass, newClaim)},
		{"no pod uses the claim", world(lateClass)},
		{"Kubernetes looks for a free volume", world(unsearched, newClaim)},
		{"Kubernetes looks for a free volume, for long", world(unsearched)},
		{"all is there", world()},
	}
}

func rowsOfPrime() []conditionRow {
	return []conditionRow{
		{"another claim has the prime's name", world(foreignPrime)},
		{"a policy changed the prime's labels", world(relabelledPrime)},
		{"the prime is being deleted", world(deletingPrime)},
		{"the source became smaller before there was a volume", world(oversizedPrime, otherSpec)},
		{"the driver gave the node up", world(lateClass, claimNode, primeLostNode)},
		{"the scheduler chose another node", world(lateClass, otherNode, primeLostNode)},
		{"no other node is chosen yet", world(lateClass, primeLostNode)},
		{"no other node is chosen, for long", world(lateClass, primeLostNode, aged)},
		{"the volume is being made", world(withPrime)},
		{"the volume does not come", world(oldPrime)},
		{"the volume does not come, and the driver says why", world(oldPrime, troubled)},
		{"the volume is there, and the claim is not Bound yet", world(boundPrime, noPhase)},
		{"the claim does not become Bound", world(boundPrime, noPhase, madeLongAgo)},
		{"the prime's volume is gone", world(lostPrime)},
		{"the volume's claimRef was changed", world(filledPrime, stolen)},
		{"the volume is being deleted", world(filledPrime, volumeGoes)},
		{"the prime got a volume made by hand", world(boundPrime, madeByHand)},
		{"the prime got a volume that was free", world(boundPrime, free)},
		{"such a volume is released", world(boundPrime, releasing, knowsCapture)},
		{"after that, the next prime has to wait", world(backsOff)},
		{"the class waits for a pod, the claim does not", world(immediately, withPrime)},
		{"its consumer is new", world(immediately, withPrime, newConsumer)},
		{"its consumer cannot be scheduled", world(immediately, withPrime, oldConsumer)},
		{"another pod has the consumer's name", world(immediately, withPrime, withConsumer(0, unlabelled))},
		{"the consumer has done its work", world(immediately, boundPrime, readyConsumer)},
		{"the consumer's node does not answer", world(immediately, boundPrime, withConsumer(0, goingSince(time.Hour)))},
		{"the prime is gone, and its volume is being reclaimed", world(boundPrime, reclaimed)},
		{"the volume has no record yet", world(boundPrime, unmarked)},
		{"the volume's policy is Retain", world(boundPrime, unmarked, retained)},
	}
}

func aged(s *State) { s.Prime.CreationTimestamp = metav1.NewTime(noon.Add(-time.Hour)) }

func troubled(s *State) { s.Trouble = "ProvisioningFailed: the array is full" }

func tellsAll(s *State) { told(corev1.ConditionUnknown, v1alpha1.ReasonProvisioning)(s) }

func rowsOfMover() []conditionRow {
	return []conditionRow{
		{"another pod has the mover's name", world(boundPrime, foreignMover)},
		{"a mover of an earlier prime is still there", world(boundPrime, doneMover, ofEarlierPrime)},
		{"a policy changed the mover's labels", world(boundPrime, relabelledMover)},
		{"the volume is ready to be filled", world(boundPrime)},
		{"the volume is still attached for an earlier mover", world(boundPrime, attachedTo("a", 0))},
		{"the volume stays attached for an earlier mover", world(boundPrime, attachedTo("a", time.Hour))},
		{"all places for movers are taken", world(boundPrime, queued(0))},
		{"all places for movers are taken, for long", world(boundPrime, queued(time.Minute))},
		{"the source is gone before it is loaded", world(boundPrime, noSource)},
		{"the mover starts", world(boundPrime, runningMover)},
		{"the mover starts, after something else was told", world(boundPrime, pendingMover, tellsAll)},
		{"the mover runs", world(boundPrime, longMover)},
		{"the mover cannot start", world(boundPrime, oldPendingMover)},
		{"the node of the mover does not answer", world(boundPrime, runningMover, onNode, silentNode)},
		{"the mover is evicted", world(boundPrime, evictedAndDeleted)},
		{"the mover is ending", world(boundPrime, recorded, evictedAndDeleted)},
		{"the mover does not end", world(boundPrime, overdueMover)},
		{"the mover ended and a finalizer keeps it", world(boundPrime, doneMover, onNode, finalizer, due(time.Minute))},
		{"somebody deleted the mover", world(boundPrime, vanished)},
		{"the prime of a mover is gone", world(runningMover)},
		{"what is asked for changed", world(boundPrime, runningMover, otherSpec)},
		{"the placement of a pending mover changed", world(boundPrime, pendingMover, otherNodes)},
		{"what is asked for changed after the volume was filled", world(filledPrime, otherSpec)},
		{"what is asked for changes again and again", world(boundPrime, edited(5))},
		{"the mover failed", world(boundPrime, retryMover)},
		{"the next attempt waits", world(failedBefore(false, noon.Add(-time.Second)), retryMover)},
		{"S3 cannot be reached", world(waitedOut)},
		{"a person is needed", world(failedBefore(true, noon), userMover)},
		{"all attempts are used up", world(gaveUp)},
		{"the volume held something before", world(heldSomething)},
		{"the volume held something before, and is kept", world(heldSomething, kept)},
		{"an earlier mover filled it unheard, and the next one cannot prove it", world(completedUnheard)},
		{"another claim has the volume too", world(sharedVolume)},
		{"another claim has the volume too, and it is kept", world(sharedVolume, kept)},
		{"it is kept before anything else is done", world(boundPrime, refusedMover)},
		{
			"the mover said more of the volume after it was told to end",
			world(editedBeforeTheEnd, otherSpec, doneMover, toldToEnd),
		},
		{"the data did not fit, and the volume may grow", world(growing, inventory, tooSmallBefore)},
		{"the mover is done", world(boundPrime, doneMover)},
	}
}

func rowsAfter() []conditionRow {
	return []conditionRow{
		{"the mover goes before its volume is handed over", world(filledPrime, doneMover)},
		{"the volume does not fit the claim any more", world(filledPrime, tooSmall)},
		{"the volume has another attributes class", world(filledPrime, otherVAC)},
		{"the volume is handed over", world(filledPrime)},
		{"Kubernetes has not bound it yet", world(rebound)},
		{"Kubernetes does not bind it", world(slowBind)},
		{"Kubernetes does not bind it, because it does not fit", world(badFit)},
		{"Kubernetes is binding it", world(bindingToOurs)},
		{"Kubernetes is binding it, for long", world(bindingToOurs, slowBinder)},
		{"the claim is bound", world(filledPrime, boundToOurs)},
		{"the claim is bound, and S3 told nothing but the size of some objects", world(filledWith(7, 2), boundToOurs)},
		{"the claim is bound, and was told so", world(filledPrime, boundToOurs, toldOfSuccess)},
		{"nothing of ours is left", world(boundToOurs, toldOfSuccess)},
		{"the claim is bound, and its prime is gone", world(boundToOurs)},
		{"the claim was bound to a free volume", world(boundElsewhere)},
		{"the claim was restored with its volume", world(boundElsewhere, preset)},
		{"the claim is deleted", world(boundPrime, runningMover, deleting)},
		{"the claim is deleted, and its mover does not end", world(deletingPrime, overdueMover, deleting)},
	}
}
