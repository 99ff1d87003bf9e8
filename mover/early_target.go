// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"sync"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/volume"
)

// earlyTarget makes the files of a volume that was empty. What is there already is not written to: it is of
// another mover, which may have completed the volume since the journal was looked at, or the file system
// does not tell its name from another one.
type earlyTarget struct {
	nativeTarget

	mu   sync.Mutex
	made []bool // By the index of the task: an earlier try has made the file.
}

func newEarlyTarget(v *volume.Volume, j *ledger.Journal) *earlyTarget {
	return &earlyTarget{nativeTarget: nativeTarget{volume: v, journal: j}, made: make([]bool, mostEarly)}
}

// Create implements engine.Target.
func (t *earlyTarget) Create(task engine.Task) (engine.File, error) {
	if !t.isFirst(task.Index) {
		return t.nativeTarget.Create(task)
	}
	f, err := t.createNew(task)
	if err != nil {
		return nil, fault.NotWritable(err)
	}
	return f, nil
}

// isFirst tells whether this is the first try of a task.
func (t *earlyTarget) isFirst(i int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	first := !t.made[i]
	t.made[i] = true
	return first
}
