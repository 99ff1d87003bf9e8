// SPDX-License-Identifier: Apache-2.0

package movers

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Vanished is the mover of a run that was made or seen last, where the cache shows none and the API server has none
// either; nil where there was none, it is not owned, or this manager has deleted it. The cache may be behind, so that
// the API server is asked whether it is there.
func (k *Sightings) Vanished(
	run types.NamespacedName, cached *corev1.Pod, owned func(*corev1.Pod) bool, there func(*corev1.Pod) (bool, error),
) (*corev1.Pod, error) {
	if cached != nil {
		k.NoteMover(run, cached)
		return nil, nil //nolint:nilnil // It is there.
	}
	return gone(k.LastMover(run), owned, there)
}

// Completed is such a mover that this manager has deleted, and that had ended complete by then: what it has done, and
// has said so, is not undone by that it was told to end.
func (k *Sightings) Completed(
	run types.NamespacedName, cached *corev1.Pod, owned func(*corev1.Pod) bool, there func(*corev1.Pod) (bool, error),
) (*corev1.Pod, error) {
	last := k.deletedMover(run)
	if cached != nil || last == nil {
		return nil, nil //nolint:nilnil // It is there, or was not deleted.
	}
	if r, over := moverpod.Ending(last); !over || r.Class != wire.Done {
		return nil, nil //nolint:nilnil // It was not complete.
	}
	return gone(last, owned, there)
}

func gone(last *corev1.Pod, owned func(*corev1.Pod) bool, there func(*corev1.Pod) (bool, error)) (*corev1.Pod, error) {
	if last == nil || !owned(last) {
		return nil, nil //nolint:nilnil // None was there.
	}
	if is, err := there(last); is || err != nil {
		return nil, err
	}
	return last, nil
}
