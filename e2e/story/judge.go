// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// expectation is what a story that has ended said of itself. It is judged once more when all
// have ended: what comes late comes too.
type expectation struct {
	namespace string
	warnings  []string // that came, or might come
	reported  []string
}

// settling is how long the watches may be behind the API server where the machine is busy. Only a failure waits for it.
const settling = 30 * time.Second

// judge is what went wrong in a namespace: invariants, writes on what is not ours, events,
// secrets that can be seen.
func (w *World) judge(e expectation) ([]string, error) {
	if err := w.judgeNewWrites(); err != nil {
		return nil, err
	}
	o := w.Seen
	o.mu.Lock()
	defer o.mu.Unlock()
	o.place()
	var all []string
	for _, broken := range append(o.invariants.verdict(e.namespace), o.wrongWrites(e.namespace)...) {
		all = append(all, "invariant broken: "+broken)
	}
	all = append(all, judgeTold(o.told, e.namespace, e.warnings)...)
	for _, text := range o.revealed[e.namespace] {
		if !strings.Contains(text, " "+planted) {
			all = append(all, text)
		}
	}
	shown, err := searchLogs(w.moverLogDir(), e.namespace+"_", w.hidden.list())
	return slices.Concat(all, w.logs.lostIn(e.namespace), shown), err
}

// judgeStory reports what went wrong in a story, which has ended. A verdict that lacks only
// what the watches have yet to show is asked again.
func (s *Story) judgeStory(ctx context.Context) {
	e := expectation{namespace: s.Namespace, warnings: slices.Concat(s.Warnings, s.MayWarn)}
	o := s.World.Seen
	waiting, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	err := await(waiting, o.Changed, func() error {
		wrong, err := s.World.judge(e)
		e.reported = wrong
		return errors.Join(err, s.alive(), complaints(wrong))
	})
	switch {
	case err != nil && len(e.reported) == 0:
		s.T.Error(err)
	default:
		for _, wrong := range e.reported {
			s.T.Error(wrong)
		}
	}
	s.World.mu.Lock()
	defer s.World.mu.Unlock()
	s.World.ended = append(s.World.ended, e)
}

func complaints(wrong []string) error {
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("%d things went wrong", len(wrong))
}

// alive fails where nothing of ours was seen, or something was where nothing may be, and where
// a warning that the story provokes never came. A story that failed may not have come so far.
func (s *Story) alive() error {
	o := s.World.Seen
	o.mu.Lock()
	defer o.mu.Unlock()
	switch active := o.active[s.Namespace]; {
	case s.T.Failed() || s.T.Skipped():
		return nil
	case !active && !s.Untouched:
		return errors.New("nothing of ours was observed in this story: no prime, no pod, no import, no event")
	case active && s.Untouched:
		return errors.New("something of ours was observed in a story that has nothing to do with us")
	}
	if missing := untold(o.told, s.Namespace, s.Warnings); len(missing) > 0 {
		return fmt.Errorf("the story provokes warnings that never came: %v", missing)
	}
	return nil
}

// judgeLate judges the stories that have ended once more, and everything outside of them, as a story is judged.
func (w *World) judgeLate(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	var wrong error
	_ = await(waiting, w.Seen.Changed, func() error { // What is wrong at the end is returned.
		wrong = w.late()
		return wrong
	})
	return wrong
}

func (w *World) late() error {
	w.mu.Lock()
	ended := slices.Clone(w.ended)
	w.mu.Unlock()
	if err := w.judgeNewWrites(); err != nil {
		return err
	}
	var errs []error
	for _, e := range append(ended, w.Seen.outside(ended)...) {
		wrong, err := w.judge(e)
		errs = append(errs, err)
		for _, text := range wrong {
			if !slices.Contains(e.reported, text) {
				errs = append(errs, fmt.Errorf("in namespace %q, after its story: %s", e.namespace, text))
			}
		}
	}
	return errors.Join(errs...)
}

// outside are expectations of all places that are no story's: nothing that is told of happens there. Among
// them are the manager's own namespace, and none at all, where volumes are that were never claimed.
func (o *Observer) outside(ended []expectation) (all []expectation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.place()
	places := map[string]bool{"": true, SystemNamespace: true}
	for namespace := range o.invariants.broken {
		places[namespace] = true
	}
	for _, c := range o.invariants.claims {
		places[c.namespace] = true
	}
	for _, v := range o.invariants.volumes {
		places[v.namespace] = true
	}
	for _, r := range o.doubtful {
		places[o.placeOf(r)] = true
	}
	for namespace := range o.revealed {
		places[namespace] = true
	}
	for _, t := range o.told {
		places[t.namespace] = true
	}
	for _, e := range ended {
		delete(places, e.namespace)
	}
	for _, namespace := range slices.Sorted(maps.Keys(places)) {
		all = append(all, expectation{namespace: namespace})
	}
	return all
}
