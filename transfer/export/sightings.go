// SPDX-License-Identifier: Apache-2.0

package export

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/transfer/export/protocol"
	"github.com/s3populator/s3populator/transfer/movers"
)

// sightings remember the claims of running exports, who uses them, what they read in their place, and which movers
// were deleted. The zero value is ready for use.
type sightings struct {
	of        movers.Sightings
	temporary sync.Map // types.NamespacedName of an export to protocol.Temporary
	troubles  sync.Map // types.NamespacedName of an export to trouble
	refusals  sync.Map // types.NamespacedName of an export to refusal
}

// refusal is when the API server last refused the mover of an export.
type refusal struct {
	export types.UID
	at     time.Time
}

// refusalEcho is for how long a mover that was refused is not tried again: the status that tells of the refusal wakes
// its own export.
const refusalEcho = time.Second

// trouble is why a Job got no pods, as its events said it.
type trouble struct {
	job  types.UID
	at   time.Time
	text string
}

// noteMade remembers a mover that was made: it may be gone before the cache shows it.
func (k *sightings) noteMade(s *protocol.State, mover *corev1.Pod, err error) {
	if err == nil && mover.UID != "" {
		k.of.NoteMover(client.ObjectKeyFromObject(s.Export), mover)
	}
}

// noteCounted forgets a mover that has vanished, once the cache has its end, or that is not to be counted.
func (k *sightings) noteCounted(s *protocol.State, d protocol.Decision) {
	if s.Vanished != nil && d.Ended == nil { // What was counted now, the cache may not know yet.
		k.of.NoteDeleted(client.ObjectKeyFromObject(s.Export), s.Vanished.UID)
	}
}

// noteDeleted remembers which mover was deleted last for an export.
func (k *sightings) noteDeleted(s *protocol.State) {
	k.of.NoteDeleted(client.ObjectKeyFromObject(s.Export), s.Mover.UID)
}

// wasDeleted tells that this manager deleted the mover of an export.
func (k *sightings) wasDeleted(s *protocol.State) bool {
	return k.of.WasDeleted(client.ObjectKeyFromObject(s.Export), s.Mover)
}

// recall fills in what was seen a short while ago; false where that is too old.
func (k *sightings) recall(s *protocol.State) bool {
	claim, users, ok := k.of.Recall(client.ObjectKeyFromObject(s.Export), s.Export.UID, s.Now, protocol.UsersEvery)
	if ok {
		s.Claim, s.Users = claim, users
		if t, found := k.temporary.Load(client.ObjectKeyFromObject(s.Export)); found {
			s.Temporary, _ = t.(protocol.Temporary)
		}
	}
	return ok
}

func (k *sightings) remember(s *protocol.State) {
	k.of.Remember(client.ObjectKeyFromObject(s.Export), s.Export.UID, s.Now, s.Claim, s.Users)
	if protocol.Apart(s.Export) {
		k.temporary.Store(client.ObjectKeyFromObject(s.Export), s.Temporary)
	}
}

// recallTrouble fills in why a Job gets no pods, as it was read a short while ago; false where that is too old.
func (k *sightings) recallTrouble(s *protocol.State) bool {
	found, _ := k.troubles.Load(client.ObjectKeyFromObject(s.Export))
	was, ok := found.(trouble)
	if !ok || was.job != s.Job.UID || s.Now.Sub(was.at) >= troubleEvery {
		return false
	}
	s.Trouble = was.text
	return true
}

// rememberTrouble keeps what was found, also that nobody has told anything.
func (k *sightings) rememberTrouble(s *protocol.State) {
	k.troubles.Store(client.ObjectKeyFromObject(s.Export), trouble{job: s.Job.UID, at: s.Now, text: s.Trouble})
}

// noteRefused remembers that the mover of an export was refused.
func (k *sightings) noteRefused(s *protocol.State) {
	k.refusals.Store(client.ObjectKeyFromObject(s.Export), refusal{export: s.Export.UID, at: s.Now})
}

// refusedNow tells that it was refused a moment ago.
func (k *sightings) refusedNow(s *protocol.State) bool {
	found, _ := k.refusals.Load(client.ObjectKeyFromObject(s.Export))
	was, ok := found.(refusal)
	return ok && was.export == s.Export.UID && s.Now.Sub(was.at) < refusalEcho
}

func (k *sightings) forget(name types.NamespacedName) {
	k.of.Forget(name)
	k.temporary.Delete(name)
	k.troubles.Delete(name)
	k.refusals.Delete(name)
}
