// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
)

// The rules of this file keep one promise: a claim is bound only to what its source and its
// retry token ask for when it is bound. Where the source is gone, the latest request stands.

// Restarts by edits: the first two in a row are followed at once, later ones are delayed by
// the back-off of attempts. A quiet time of editMemory forgets them.
const (
	promptEdits = 2
	editMemory  = 10 * time.Minute
)

// edited counts a restart that a changed request made.
func (a Attempts) edited(now time.Time) Attempts {
	if now.Sub(a.EditedAt) > editMemory {
		a.Edits = 0
	}
	a.Edits++
	a.EditedAt = now.UTC().Truncate(time.Second)
	return a
}

// settled is when a mover may start after so many edits; zero is at once.
func (a Attempts) settled() time.Time {
	if a.Edits <= promptEdits {
		return time.Time{}
	}
	return a.EditedAt.Add(backoff(a.Edits-promptEdits, lastBackoff))
}

// fresh tells that nothing has failed yet of what is asked for now.
func (a Attempts) fresh(s State) bool {
	return a.Hash == "" || s.Source != nil && (a.Hash != RequestHash(s.Source, s.Claim) || a.Pod != PodHash(s.Source))
}

// Outdated tells why a mover is not the one that would be started now; "" when it is, or
// when that cannot be told.
//
//	differs       mover pending   mover running or ended
//	request       outdated        outdated
//	pod           outdated        goes on
func Outdated(mover *corev1.Pod, source *v1alpha1.S3Source, claim *corev1.PersistentVolumeClaim) string {
	switch {
	case source == nil:
		return ""
	case outdated(mover.Annotations[v1alpha1.AnnotationRequestHash], RequestHash(source, claim)):
		return fmt.Sprintf("S3Source %s, or the claim's annotation %s, has changed.", source.Name, v1alpha1.AnnotationRetry)
	case !ended(mover) && mover.Status.Phase == corev1.PodPending &&
		outdated(mover.Annotations[v1alpha1.AnnotationPodHash], PodHash(source)):
		return fmt.Sprintf("S3Source %s has changed how the mover pod, which has not started, is made.", source.Name)
	}
	return ""
}

// ResultOutdated tells that a filled prime holds what was asked for earlier. A result of an
// earlier version of ours cannot be compared and stands.
func ResultOutdated(
	prime *corev1.PersistentVolumeClaim,
	source *v1alpha1.S3Source,
	claim *corev1.PersistentVolumeClaim,
) bool {
	stored, _ := Result(prime)
	return source != nil && outdated(stored.Hash, RequestHash(source, claim))
}

func requestChanged(message string) Decision {
	return Because(corev1.ConditionUnknown, v1alpha1.ReasonRequestChanged, message)
}

// discardOutdatedResult makes the prime anew: its volume is worth nothing until the rebind,
// and one that a mover has finished carries no journal to go on from.
func discardOutdatedResult(s State) (Decision, bool) {
	if !Filled(s.Prime) || !ResultOutdated(s.Prime, s.Source, s.Claim) {
		return Decision{}, false
	}
	return replacePrime(s, requestChanged(fmt.Sprintf(
		"The volume was filled, but S3Source %s, or the claim's annotation %s, has changed since. The volume is replaced and filled again.",
		s.Source.Name,
		v1alpha1.AnnotationRetry,
	))), true
}

// replacePrime deletes the mover before the prime, which it holds.
func replacePrime(s State, d Decision) Decision {
	switch {
	case s.Mover == nil:
		return d.Then(ReplacePrime)
	case s.Mover.DeletionTimestamp != nil:
		return untilEnd(s, d)
	}
	return d.Then(DeleteMover)
}

// replaceOversizedPrime is for a prime that has no volume yet and asks for more than the
// claim does, on account of an earlier request: nobody may be able to provide that much.
func replaceOversizedPrime(s State) (Decision, bool) {
	if s.Prime.Spec.VolumeName != "" || s.Source == nil || storageOf(s.Prime) <= storageOf(s.Claim) ||
		!outdated(s.Prime.Annotations[v1alpha1.AnnotationRequestHash], RequestHash(s.Source, s.Claim)) {
		return Decision{}, false
	}
	if s.Mover != nil && !OwnedBy(s.Mover, s.Claim) {
		return Decision{}, false
	}
	return replacePrime(s, requestChanged(fmt.Sprintf(
		"S3Source %s changed before the volume was provisioned. A volume of the size that is needed now is requested instead.",
		s.Source.Name,
	))), true
}

// endOutdatedMover remembers that a mover was ended by a change, then ends it. What it has
// verified stays on the volume, and the next mover keeps of it what still applies.
func endOutdatedMover(s State) (Decision, bool) {
	if s.Mover == nil {
		return Decision{}, false
	}
	why := Outdated(s.Mover, s.Source, s.Claim)
	if why == "" {
		return Decision{}, false
	}
	d := requestChanged(
		why + " The mover is stopped and population goes on with the new request; verified data that still applies is kept.",
	)
	switch {
	case ReadAttempts(s.Prime).Mover != string(s.Mover.UID):
		return d.Then(RecordEdit), true
	case foundSince(s):
		return d.Then(RecordFound), true
	}
	return d.Then(DeleteMover), true
}

// foundSince tells that a mover which was recorded before it ended has said more of its volume since: it may have begun
// to fill it, and completed it even, before it was told to end.
func foundSince(s State) bool {
	past := ReadAttempts(s.Prime)
	if past.Mover != string(s.Ended().UID) {
		return false
	}
	found := past.Found(s.Ended())
	if s.Mover != nil && !ended(s.Mover) { // It tells that anew every few seconds, and again when it ends.
		found.Arrived = past.Arrived
	}
	return !found.same(past)
}

// waitForEdits slows a source down that is changed again and again.
func waitForEdits(s State, past Attempts) Decision {
	at := past.settled()
	message := fmt.Sprintf(
		"S3Source %s has changed %d times in a row while the volume was filled. Population goes on at %s UTC.",
		s.Source.Name, past.Edits, at.UTC().Format(time.TimeOnly),
	)
	return requestChanged(message).Again(at.Sub(s.Now))
}

// growLimit bounds how often a volume is made anew because it was too small for one request.
const growLimit = 5

// growVolume makes the prime anew, larger, when a mover found its volume too small and its
// user allows that. The size is remembered on the claim first, because it must outlive the prime.
func growVolume(s State) (Decision, bool) {
	past := ReadAttempts(s.Prime)
	if s.Source == nil || past.fresh(s) || past.Reason != wire.VolumeTooSmall && past.Reason != wire.VolumeOutOfInodes ||
		!grows(s.Source, s.Claim) {
		return Decision{}, false
	}
	next := ReadNextPrime(s.Claim).grownFor(RequestHash(s.Source, s.Claim))
	if next.Bytes <= storageOf(s.Prime) && next.Grown >= growLimit {
		return Decision{}, false
	}
	remembered := next.Bytes > storageOf(s.Prime)
	if !remembered {
		next.Bytes = larger(past.RequiredBytes, storageOf(s.Prime))
	}
	d := Because(corev1.ConditionUnknown, v1alpha1.Reason(past.Reason), fmt.Sprintf(
		"%s The volume may grow, so it is replaced by one of %s.", sentence(past.Message), progress.Size(next.Bytes)))
	if !remembered {
		return d.Then(RememberSize), true
	}
	return replacePrime(s, d), true
}

// Grown is what RememberSize writes.
func Grown(s State) NextPrime {
	next := ReadNextPrime(s.Claim).grownFor(RequestHash(s.Source, s.Claim))
	next.Bytes = larger(ReadAttempts(s.Prime).RequiredBytes, storageOf(s.Prime))
	next.Grown++
	return next
}

// grownFor forgets the growth for another request: it says nothing about this one.
func (n NextPrime) grownFor(hash string) NextPrime {
	if n.BytesFor != hash {
		n.Bytes, n.BytesFor, n.Grown = 0, hash, 0
	}
	return n
}

// larger is what was required, if that is more than there was, else a quarter more.
func larger(required, had int64) int64 {
	const mebibyte = 1 << 20
	if required > had {
		return required
	}
	return (had + had/4 + mebibyte) / mebibyte * mebibyte
}

func storageOf(claim *corev1.PersistentVolumeClaim) int64 {
	q := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	return q.Value()
}

// InventoryCurrent tells that a source's inventory is of its spec as it is now. One of an
// earlier version of ours carries no generation; the verdict on it does.
func InventoryCurrent(source *v1alpha1.S3Source) bool {
	inventory := source.Status.Inventory
	if inventory == nil {
		return false
	}
	if inventory.ObservedGeneration != 0 {
		return inventory.ObservedGeneration == source.Generation
	}
	for _, c := range source.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return c.Status == "True" && c.ObservedGeneration == source.Generation
		}
	}
	return false
}
