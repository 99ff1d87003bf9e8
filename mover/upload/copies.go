// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// copies is what a mover knows of those that were asked for before, and what it has told of its own.
//
// S3 may make a copy when who has asked for it is gone, over whatever was sent meanwhile. So each mover leaves a mark
// of its own before its first copy. Who comes after it adds one that it has ended: from then on it asks for nothing,
// and S3 itself has noted since when. No mark is ever written over one that says something else, so that none does harm
// that arrives late.
type copies struct {
	marked bool                 // Each mover before has left a mark, if it has asked for a copy.
	ended  map[copier]time.Time // Movers before, and since when this one knows that they have ended.

	mu     sync.Mutex
	name   string    // Of this mover; empty before it has asked for a copy.
	looked time.Time // When nobody had taken it for ended.
}

// copier is a mover that has asked for copies, perhaps of another run below the same prefix.
type copier struct{ run, name string }

// copyState is what a mark says of a mover; each has a key of its own.
type copyState string

const (
	copyAsked    copyState = "asked"    // By itself: it may have asked for copies.
	copyEnded    copyState = "ended"    // By another one: it does so no more.
	copyAnswered copyState = "answered" // By itself: S3 has answered each of its copies, and it asks for no more.
)

// copyMark is what is in a mark.
type copyMark struct {
	Run string    `json:"run"`
	At  time.Time `json:"at"` // By the clock of who has written it.
}

// runs is the prefix of what runs keep.
func (h home) runs() string { return h.base + wire.JournalDir + "/runs/" }

// copies is the prefix of these marks.
func (h home) copies(run string) string { return h.runPrefix(run) + "copies/" }

func (h home) copyMark(c copier, state copyState) string {
	return h.copies(c.run) + c.name + "." + string(state) + ".json"
}

// copiers is how the names begin of movers that have ended when this one begins. Those of other shards have not.
func (x *export) copiers() string {
	if x.options.Step == wire.StepShard {
		return "shard-" + x.Shard + "-"
	}
	return ""
}

func (x *export) markCopies(ctx context.Context, name string, state copyState) error {
	mark := copyMark{Run: x.options.Run, At: time.Now().UTC()} //nolint:forbidigo // Noted; see leftOf.
	return x.putJSON(ctx, x.home.copyMark(copier{x.options.Run, name}, state), mark)
}

// mayCopy leaves the mark before the first copy. Before others it looks, once in a while, whether another mover has
// taken this one for ended, as where its node was lost: that one does not wait for copies that are asked for now.
func (x *export) mayCopy(ctx context.Context) error {
	c := &x.copies
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.name != "" && time.Since(c.looked) < x.Pause {
		return nil
	}
	now := time.Now() //nolint:forbidigo // Only ever subtracted from.
	if c.name == "" {
		name := x.copiers() + rand.Text()
		if err := x.markCopies(ctx, name, copyAsked); err != nil {
			return err
		}
		// Who completes a run looks for marks when its manifest is there: one of both sees the other.
		if err := x.alone(ctx); err != nil {
			return errors.Join(err, x.remove(ctx, x.home.copyMark(copier{x.options.Run, name}, copyAsked)))
		}
		c.name, c.looked = name, now
		return nil
	}
	ended, err := x.hasMark(ctx, c.name, copyEnded)
	if err != nil {
		return err
	}
	asked, err := x.hasMark(ctx, c.name, copyAsked) // Who has completed the run has removed both.
	if err != nil {
		return err
	}
	if ended || !asked {
		return x.disturbed()
	}
	c.looked = now
	return nil
}

func (x *export) hasMark(ctx context.Context, name string, state copyState) (bool, error) {
	_, err := asker{x}.Head(ctx, x.home.copyMark(copier{x.options.Run, name}, state), minio.StatObjectOptions{})
	if isNoSuchKey(err) {
		return false, nil
	}
	return err == nil, err
}

// tellAnswered is for who leaves it to another mover to complete the run.
func (x *export) tellAnswered(ctx context.Context) error {
	if x.copies.name == "" {
		return nil
	}
	return x.markCopies(ctx, x.copies.name, copyAnswered)
}

// endCopies tells of movers that have asked for copies that they have ended, unless that is told already, or nothing
// of them is under way. Their marks are below a prefix, and of begins their names. Of a mover of another run nothing is
// told: it may go on, and who has given that run up removes its marks.
func (x *export) endCopies(ctx context.Context, at, of string) error {
	if x.options.DryRun {
		return nil
	}
	marks, err := x.copyMarks(ctx, at, of)
	if err != nil {
		return err
	}
	for c, said := range marks {
		_, known := x.copies.ended[c]
		if known || said[copyAnswered] || c == (copier{x.options.Run, x.copies.name}) {
			continue
		}
		if !said[copyEnded] && c.run == x.options.Run {
			if err := x.markCopies(ctx, c.name, copyEnded); err != nil {
				return err
			}
		}
		if x.copies.ended == nil {
			x.copies.ended = map[copier]time.Time{}
		}
		x.copies.ended[c] = time.Now() //nolint:forbidigo // Only ever subtracted from.
	}
	return nil
}

// copyMarks are what the marks below a prefix say of each mover whose name begins so.
func (x *export) copyMarks(ctx context.Context, at, of string) (map[copier]map[copyState]bool, error) {
	marks := map[copier]map[copyState]bool{}
	err := x.each(ctx, at, func(o minio.ObjectInfo) error {
		run, kept, _ := strings.Cut(strings.TrimPrefix(o.Key, x.home.runs()), "/")
		mark, isMark := strings.CutPrefix(kept, "copies/")
		name, state, _ := strings.Cut(strings.TrimSuffix(mark, ".json"), ".")
		if !isMark || !strings.HasPrefix(name, of) {
			return nil
		}
		c := copier{run, name}
		if marks[c] == nil {
			marks[c] = map[copyState]bool{}
		}
		marks[c][copyState(state)] = true
		return nil
	})
	return marks, err
}
