// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"bytes"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// Found adds what a mover says of its volume, and that it got further than any before it, which it may say after it was
// recorded: one that is evicted reports once it has ended.
func (a Attempts) Found(mover *corev1.Pod) Attempts {
	r, reported := moverpod.Report(mover)
	if reported && r.Progressed && r.Class != wire.Done && a.Mover == string(mover.UID) {
		a.Failures, a.Disruptions = 0, 0
	}
	a.Began = a.Began || began(mover)
	a.Shared = shared(mover) || a.Shared && !began(mover)
	a.Held = !a.Began && (a.Held || held(mover))
	if told := arrived(mover); told != nil {
		a.Arrived = told
	}
	return a
}

// same tells that two are alike in all that is recorded of them: what a record cannot tell apart would be recorded
// without end.
func (a Attempts) same(other Attempts) bool {
	own, err := json.Marshal(a)
	others, err2 := json.Marshal(other)
	return err == nil && err2 == nil && bytes.Equal(own, others)
}

// held tells that a mover has found something on its volume that may be somebody's.
func held(mover *corev1.Pod) bool {
	r, done := moverpod.Ending(mover)
	return done && !r.Began && (r.Held || r.Reason == wire.VolumeNotEmpty)
}

// shared tells that a mover has found signs of another claim that has its volume too.
func shared(mover *corev1.Pod) bool {
	r, done := moverpod.Ending(mover)
	return done && r.Shared
}

// arrived is what a mover has said of a Block volume that it did not complete: in the end, or, where it left no report,
// while it ran. Nil is nothing.
func arrived(mover *corev1.Pod) *wire.Arrived {
	if r, reported := moverpod.Report(mover); reported {
		return r.Arrived
	}
	snapshot, err := wire.ParseSnapshot([]byte(mover.Annotations[v1alpha1.AnnotationProgress]))
	if err != nil {
		return nil
	}
	return snapshot.Arrived
}

// began tells that a mover has checked its volume and writes it: by its report, or, where it
// left none, by how far it said to be. To compare what is there is part of the check.
func began(mover *corev1.Pod) bool {
	if r, reported := moverpod.Report(mover); reported {
		return r.Began || r.Class == wire.Done
	}
	var snapshot wire.Snapshot
	return json.Unmarshal([]byte(mover.Annotations[v1alpha1.AnnotationProgress]), &snapshot) == nil &&
		(snapshot.Phase == wire.Transferring || snapshot.Phase == wire.Syncing)
}
