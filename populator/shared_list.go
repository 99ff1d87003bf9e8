// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Bounds of listing all objects of a kind from the API server.
const (
	// listPage is how many objects are held in memory at once.
	listPage = 500
	// listLimit ends a list that the API server does not answer.
	listLimit = 2 * time.Minute
)

// sharedList answers, from the API server itself, whether all objects of a kind name a key. At
// most one list is under way at a time, and everybody who asked before it began shares its
// answer, so that a thousand questions cost as much as two. Its zero value is ready for use.
type sharedList[K comparable] struct {
	mu      sync.Mutex
	running *oneList[K] // Began already; too old for whoever asks now.
	next    *oneList[K] // Begins when running ends.
}

// oneList is one list of all objects: only the keys that they name are kept.
type oneList[K comparable] struct {
	keys map[K]struct{}
	err  error
	done chan struct{}
}

// keysOf lists all objects and returns the keys that they name.
type keysOf[K comparable] func(context.Context, client.Reader) (map[K]struct{}, error)

// has lists what the API server had at the time of the call, or later.
func (s *sharedList[K]) has(ctx context.Context, from client.Reader, read keysOf[K], key K) (bool, error) {
	l := s.join(ctx, from, read)
	select {
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-l.done:
	}
	if l.err != nil {
		return false, l.err
	}
	_, ok := l.keys[key]
	return ok, nil
}

// join takes part in a list that has not begun.
func (s *sharedList[K]) join(ctx context.Context, from client.Reader, read keysOf[K]) *oneList[K] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = &oneList[K]{done: make(chan struct{})}
		if s.running == nil {
			s.begin(ctx, from, read)
			return s.running
		}
	}
	return s.next
}

// begin runs the next list. Who asked for it may leave; the others still wait for it.
func (s *sharedList[K]) begin(ctx context.Context, from client.Reader, read keysOf[K]) {
	s.running, s.next = s.next, nil
	l := s.running
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listLimit)
		defer cancel()
		l.keys, l.err = read(ctx, from)
		close(l.done)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running = nil
		if s.next != nil {
			s.begin(ctx, from, read)
		}
	}()
}

// eachPage lists all objects of a kind. The pages are of one moment, or the API server refuses
// to go on (410). Visit takes the items out of the page.
func eachPage(ctx context.Context, from client.Reader, page client.ObjectList, visit func()) error {
	for next := ""; ; {
		if err := from.List(ctx, page, client.Limit(listPage), client.Continue(next)); err != nil {
			return fmt.Errorf("page of %d: %w", listPage, err)
		}
		visit()
		if next = page.GetContinue(); next == "" {
			return nil
		}
		page.SetContinue("")
	}
}
