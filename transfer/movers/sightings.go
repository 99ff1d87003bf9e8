// SPDX-License-Identifier: Apache-2.0

package movers

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/internal/moverpod"
)

// Sightings remember the claims of running runs and who uses them: a mover's progress wakes its run
// every few seconds, and each look is a request. The zero value is ready for use.
type Sightings struct {
	mu   sync.Mutex
	last map[types.NamespacedName]sighting
	// deleted are movers by the run whose they are, as long as the run is not over.
	deleted map[types.NamespacedName]types.UID
	// movers are those of runs as they were last seen. One that is deleted by force leaves nothing in the API that could
	// be observed. What is lost with the process is the pause before one next mover.
	movers map[types.NamespacedName]*corev1.Pod
}

type sighting struct {
	at    time.Time
	uid   types.UID
	claim *corev1.PersistentVolumeClaim
	users []corev1.Pod
}

// NoteMover remembers the mover of a run as it was made or seen.
func (k *Sightings) NoteMover(run types.NamespacedName, mover *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.movers == nil {
		k.movers = map[types.NamespacedName]*corev1.Pod{}
	}
	k.movers[run] = mover
}

// NoteShown remembers a mover as a watch shows it, which also tells how one was that is gone by now. It may do so late:
// what is known of another mover, and of an end, stays.
func (k *Sightings) NoteShown(run types.NamespacedName, mover *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := k.movers[run]; last != nil {
		if _, over := moverpod.Ending(last); over || last.UID != mover.UID {
			return
		}
	}
	if k.movers == nil {
		k.movers = map[types.NamespacedName]*corev1.Pod{}
	}
	k.movers[run] = mover
}

// LastMover is the mover of a run that was made or seen last; nil where there was none, or its deletion was noted.
func (k *Sightings) LastMover(run types.NamespacedName) *corev1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := k.movers[run]; last != nil && k.deleted[run] != last.UID {
		return last
	}
	return nil
}

// deletedMover is the mover of a run that was made or seen last, and whose deletion was noted.
func (k *Sightings) deletedMover(run types.NamespacedName) *corev1.Pod {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := k.movers[run]; last != nil && k.deleted[run] == last.UID {
		return last
	}
	return nil
}

// NoteDeleted remembers which mover was deleted last for a run.
func (k *Sightings) NoteDeleted(run types.NamespacedName, mover types.UID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.deleted == nil {
		k.deleted = map[types.NamespacedName]types.UID{}
	}
	k.deleted[run] = mover
}

// WasDeleted tells that this manager deleted the mover of a run.
func (k *Sightings) WasDeleted(run types.NamespacedName, mover *corev1.Pod) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return mover != nil && k.deleted[run] == mover.UID
}

// Recall is what was seen of a run a short while ago; false where that is older than it may be.
func (k *Sightings) Recall(
	run types.NamespacedName, uid types.UID, now time.Time, most time.Duration,
) (*corev1.PersistentVolumeClaim, []corev1.Pod, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, ok := k.last[run]
	if !ok || was.uid != uid || now.Sub(was.at) >= most {
		return nil, nil, false
	}
	return was.claim, was.users, true
}

// Remember what was seen of a run.
func (k *Sightings) Remember(
	run types.NamespacedName, uid types.UID, now time.Time, claim *corev1.PersistentVolumeClaim, users []corev1.Pod,
) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last == nil {
		k.last = map[types.NamespacedName]sighting{}
	}
	k.last[run] = sighting{at: now, uid: uid, claim: claim, users: users}
}

// Forget a run that is over.
func (k *Sightings) Forget(run types.NamespacedName) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.last, run)
	delete(k.deleted, run)
	delete(k.movers, run)
}
