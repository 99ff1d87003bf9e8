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
}
