// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"sync"
	"time"
)

// leafSelection decides which leaf is served while its successor waits for its CA to be known.
type leafSelection struct {
	// settle is how long a CA must have been published, and a leaf have existed, before it
	// is served: API servers learn of a caBundle by a watch, and their clocks differ from
	// ours.
	settle time.Duration

	mu        sync.Mutex
	serving   *tls.Certificate
	published map[string]time.Time // Subject key of a CA: since when API servers can know it.
}

// settleTime is 10 s, in proportion for leaves that live for seconds.
func settleTime(leaf time.Duration) time.Duration { return min(10*time.Second, leaf/12) }

// publish records which CAs API servers are told to trust.
func (s *leafSelection) publish(keys map[string]bool, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := make(map[string]time.Time, len(keys))
	for key := range keys {
		next[key] = now
		if since, ok := s.published[key]; ok {
			next[key] = since
		}
	}
	s.published = next
}

// pick returns the leaf to serve, given the newest; it remembers what it returned.
func (s *leafSelection) pick(newest *tls.Certificate, now time.Time) *tls.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.serving == nil || s.replaces(newest, now) {
		s.serving = newest
	}
	return s.serving
}

// trusts tells whether the CA of a leaf is published.
func (s *leafSelection) trusts(leaf *tls.Certificate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.published[string(leaf.Leaf.AuthorityKeyId)]
	return ok
}

// replaces is the order of a hand-over. After a change of CA the old leaf is served as long
// as it can be: a mover that began before the change knows only the old CA. With the default
// of 7 days that is at least 28 h, and a mover's attempt ends after 24 h by default.
func (s *leafSelection) replaces(newest *tls.Certificate, now time.Time) bool {
	was, next := s.serving.Leaf, newest.Leaf
	since, published := s.published[string(next.AuthorityKeyId)]
	_, stillPublished := s.published[string(was.AuthorityKeyId)]
	switch {
	case newest == s.serving:
		return false
	case !now.Before(was.NotAfter):
		return true // Nothing to lose.
	case !published || now.Sub(since) < s.settle || now.Sub(next.NotBefore) < s.settle:
		return false
	case bytes.Equal(was.AuthorityKeyId, next.AuthorityKeyId) || !stillPublished:
		return true
	default:
		return was.NotAfter.Sub(now) < lifetime(was)/6
	}
}

func lifetime(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) }
