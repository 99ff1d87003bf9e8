// SPDX-License-Identifier: Apache-2.0

package export

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// sightings remember the claims of running exports and who uses them: a mover's progress wakes its
// export every few seconds, and each look is a request. The zero value is ready for use.
type sightings struct {
	mu   sync.Mutex
	last map[types.NamespacedName]sighting
	// deleted are movers by the export whose they are, as long as the export is not over.
	deleted map[types.NamespacedName]types.UID
}

// noteDeleted remembers which mover was deleted last for an export.
func (k *sightings) noteDeleted(s *protocol.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deleted == nil {
		k.deleted = map[types.NamespacedName]types.UID{}
	}
	k.deleted[client.ObjectKeyFromObject(s.Export)] = s.Mover.UID
}

// wasDeleted tells that this manager deleted the mover of an export.
func (k *sightings) wasDeleted(s *protocol.State) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return s.Mover != nil && k.deleted[client.ObjectKeyFromObject(s.Export)] == s.Mover.UID
}

type sighting struct {
	at    time.Time
	uid   types.UID
	claim *corev1.PersistentVolumeClaim
	users []corev1.Pod
}

// recall fills in what was seen a short while ago; false where that is too old.
func (k *sightings) recall(s *protocol.State) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, ok := k.last[client.ObjectKeyFromObject(s.Export)]
	if !ok || was.uid != s.Export.UID || s.Now.Sub(was.at) >= protocol.UsersEvery {
		return false
	}
	s.Claim, s.Users = was.claim, was.users
	return true
}

func (k *sightings) remember(s *protocol.State) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last == nil {
		k.last = map[types.NamespacedName]sighting{}
	}
	k.last[client.ObjectKeyFromObject(s.Export)] = sighting{at: s.Now, uid: s.Export.UID, claim: s.Claim, users: s.Users}
}

func (k *sightings) forget(name types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.last, name)
	delete(k.deleted, name)
}
