// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// leafOf is a leaf as the selection sees it: made at noon+made, valid for life.
func leafOf(ca string, made, life time.Duration) *tls.Certificate {
	return &tls.Certificate{Leaf: &x509.Certificate{
		AuthorityKeyId: []byte(ca), NotBefore: noon.Add(made), NotAfter: noon.Add(made + life),
	}}
}

func TestShelfServesOnlyWhatAPIServersKnow(t *testing.T) {
	const settle, life = 10 * time.Second, 7 * 24 * time.Hour
	longAgo := map[string]time.Duration{"old": -24 * time.Hour}
	both := func(since time.Duration) map[string]time.Duration {
		return map[string]time.Duration{"old": -24 * time.Hour, "new": since}
	}
	tests := map[string]struct {
		serving   *tls.Certificate
		newest    *tls.Certificate
		published map[string]time.Duration // CA: since noon+.
		wantNew   bool
	}{
		"the first leaf is served at once": {newest: leafOf("old", 0, life), wantNew: true},
		"a renewed leaf waits until every clock agrees that it is valid": {
			serving: leafOf("old", -5*24*time.Hour, life), newest: leafOf("old", -settle+time.Second, life), published: longAgo,
		},
		"a renewed leaf is served after that": {
			serving: leafOf(
				"old",
				-5*24*time.Hour,
				life,
			), newest: leafOf("old", -settle, life), published: longAgo, wantNew: true,
		},
		"a leaf of an unpublished CA is not served": {
			serving: leafOf("old", -5*24*time.Hour, life), newest: leafOf("new", -time.Hour, life), published: longAgo,
		},
		"not even when the old one is about to expire": {
			serving: leafOf("old", -life+time.Second, life), newest: leafOf("new", -time.Hour, life), published: longAgo,
		},
		"an expired leaf is replaced by anything": {
			serving: leafOf("old", -life, life), newest: leafOf("new", -time.Hour, life), published: longAgo, wantNew: true,
		},
		"a CA that was published a moment ago is not known everywhere": {
			serving: leafOf(
				"old",
				-life+time.Minute,
				life,
			), newest: leafOf("new", -time.Hour, life), published: both(-settle + time.Second),
		},
		"movers that know the old CA alone are served as long as possible": {
			serving: leafOf(
				"old",
				-4*24*time.Hour,
				life,
			), newest: leafOf("new", -24*time.Hour, life), published: both(-24 * time.Hour),
		},
		"the new CA takes over in the last sixth": {
			serving: leafOf(
				"old",
				-6*24*time.Hour,
				life,
			), newest: leafOf("new", -24*time.Hour, life), published: both(-24 * time.Hour), wantNew: true,
		},
		"the new CA takes over when the old one is no longer published": {
			serving: leafOf("old", -24*time.Hour, life), newest: leafOf("new", -time.Hour, life),
			published: map[string]time.Duration{"new": -time.Hour}, wantNew: true,
		},
		"a caBundle that was emptied by hand changes nothing": {
			serving: leafOf("old", -24*time.Hour, life), newest: leafOf("new", -time.Hour, life),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := &leafSelection{settle: settle, serving: tt.serving, published: map[string]time.Time{}}
			for ca, since := range tt.published {
				s.published[ca] = noon.Add(since)
			}
			got := s.pick(tt.newest, noon)
			if (got == tt.newest) != tt.wantNew {
				t.Errorf("served the newest leaf: %t, want %t", got == tt.newest, tt.wantNew)
			}
			if again := s.pick(tt.newest, noon); again != got {
				t.Error("a second look at the same time served another leaf")
			}
		})
	}
}

func TestShelfCountsFromTheFirstSight(t *testing.T) {
	s := &leafSelection{settle: 10 * time.Second, serving: leafOf("old", -time.Hour, time.Hour+time.Minute)}
	next := leafOf("new", -time.Hour, time.Hour)
	steps := []struct {
		at      time.Duration
		keys    map[string]bool
		wantNew bool
	}{
		{at: 0, keys: map[string]bool{"old": true, "new": true}},
		{at: 9 * time.Second, keys: map[string]bool{"old": true, "new": true}},
		{at: 9 * time.Second, keys: map[string]bool{"old": true}}, // Overwritten by hand: counting begins again.
		{at: 11 * time.Second, keys: map[string]bool{"old": true, "new": true}},
		{at: 20 * time.Second, keys: map[string]bool{"old": true, "new": true}},
		{at: 21 * time.Second, keys: map[string]bool{"old": true, "new": true}, wantNew: true},
	}
	for _, step := range steps {
		now := noon.Add(step.at)
		s.publish(step.keys, now)
		if got := s.pick(next, now) == next; got != step.wantNew {
			t.Errorf("after %s: new leaf served: %t, want %t", step.at, got, step.wantNew)
		}
	}
}
