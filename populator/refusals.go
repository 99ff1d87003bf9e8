// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/populator/protocol"
)

// refusals remember creates that the API server refused, and what was told of them, until they
// are tried again. Telling changes the claim, which wakes us: an admission webhook that says
// something else each time, such as an identity of the request, would be asked without end.
// What is lost with the process is one early repetition. The zero value is ready.
type refusals struct {
	mu sync.Mutex
	of map[types.NamespacedName]refusal
}

type refusal struct {
	action protocol.Action
	asked  string
	told   protocol.Decision
	until  time.Time
}

// asked is what the user may change so that a create is worth another try at once.
func asked(s protocol.State) string {
	text := fmt.Sprint(s.Claim.UID, s.Claim.Annotations)
	if s.Source != nil {
		text += fmt.Sprint(s.Source.UID, s.Source.Generation)
	}
	if s.Prime != nil {
		text += string(s.Prime.UID)
	}
	return text
}

// remember what was told instead of an action that was refused; anything else forgets it.
func (f *refusals) remember(claim types.NamespacedName, s protocol.State, d, told protocol.Decision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, claim)
	if told.Action == d.Action || told.Recheck == 0 {
		return
	}
	if f.of == nil {
		f.of = map[types.NamespacedName]refusal{}
	}
	f.of[claim] = refusal{d.Action, asked(s), told, s.Now.Add(told.Recheck)}
}

// standing is what was told of an action that was refused, and is not to be tried again yet.
func (f *refusals) standing(
	claim types.NamespacedName,
	s protocol.State,
	d protocol.Decision,
) (protocol.Decision, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was, ok := f.of[claim]
	if !ok || was.action != d.Action || !s.Now.Before(was.until) || was.asked != asked(s) {
		return protocol.Decision{}, false
	}
	return was.told.Again(was.until.Sub(s.Now)), true
}

func (f *refusals) forget(claim types.NamespacedName) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.of, claim)
}

// try makes the write of a decision, unless it was refused a moment ago.
func (r *Reconciler) try(
	ctx context.Context,
	step write,
	s protocol.State,
	d protocol.Decision,
) (protocol.Decision, error) {
	if told, ok := r.refusals.standing(step.claim, s, d); ok {
		return told, nil
	}
	done, err := r.act(ctx, s, d)
	if err == nil {
		r.refusals.remember(step.claim, s, d, done)
	}
	return done, err
}
