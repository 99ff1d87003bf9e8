// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/populator/protocol"
)

// sightings remember the latest mover of each claim that this process made or saw. A pod
// that was deleted by force leaves nothing in the API that could be observed. What is lost
// with the process is the pause before one next mover. The zero value is ready.
type sightings struct {
	mu sync.Mutex
	of map[types.NamespacedName]sighting
}

// sighting is a mover as it was last seen, and whether we asked for its end.
type sighting struct {
	mover *corev1.Pod
	ended bool
}

func (m *sightings) saw(claim types.NamespacedName, mover *corev1.Pod) {
	m.put(claim, mover, false)
}

// end marks a mover whose end is our own doing, also where an older view shows it once more.
func (m *sightings) end(claim types.NamespacedName, mover *corev1.Pod) {
	m.put(claim, mover, true)
}

func (m *sightings) put(claim types.NamespacedName, mover *corev1.Pod, ended bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[types.NamespacedName]sighting{}
	}
	was := m.of[claim]
	ended = ended || was.ended && was.mover.UID == mover.UID
	m.of[claim] = sighting{mover, ended}
}

// last is nil where no mover was seen, or where we ended it.
func (m *sightings) last(claim types.NamespacedName) *corev1.Pod {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s, ok := m.of[claim]; ok && !s.ended {
		return s.mover
	}
	return nil
}

// forget what is known of a claim that is gone, or whose mover is.
func (m *sightings) forget(claim types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.of, claim)
}

// observeMover reads the mover. One that was seen and is not in the cache is asked for live:
// the cache is behind, or a policy took the labels off by which it is watched, or it is gone.
func (r *Reconciler) observeMover(ctx context.Context, s *protocol.State) (err error) {
	claim := client.ObjectKeyFromObject(s.Claim)
	if s.Mover, err = find(ctx, r, key(s.Claim, protocol.MoverName(s.Claim)), &corev1.Pod{}); err != nil {
		return err
	}
	if s.Mover != nil {
		r.movers.saw(claim, s.Mover)
		return nil
	}
	last := r.movers.last(claim)
	if last == nil || last.Name != protocol.MoverName(s.Claim) || s.Claim.Spec.VolumeName != "" {
		r.movers.forget(claim)
		return nil
	}
	if s.Mover, err = find(ctx, r.Live, client.ObjectKeyFromObject(last), &corev1.Pod{}); err != nil || s.Mover != nil {
		return err
	}
	s.Vanished = last
	return nil
}
