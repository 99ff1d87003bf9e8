// SPDX-License-Identifier: Apache-2.0

package native

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Keys that requests are signed with. All empty is anonymous. They print as nothing.
type Keys struct{ Access, Secret, Session string }

func (Keys) String() string { return "REDACTED" }

// GoString covers %#v.
func (Keys) GoString() string { return "REDACTED" }

// MarshalText covers encoding/json.
func (Keys) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// LogValue covers log/slog.
func (Keys) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// keysFor is how long keys are used before they are asked for again. A rotated Secret is
// noticed that late at most, and reading its files costs nothing that can be measured.
const keysFor = time.Second

// signing is a key that signs the requests of one day, see Signature Version 4.
type signing struct {
	keys Keys
	day  string // 20060102.
	key  []byte
}

// signer hands out signings. A signing does not change once it was handed out.
type signer struct {
	ask     func(context.Context) (Keys, error)
	expired func(accessKey string) // May be nil.
	region  string
	service string

	mu    sync.Mutex
	asked time.Time
	now   *signing
}

func (s *signer) init(c Config) {
	s.ask, s.expired, s.region, s.service = c.Keys, c.Expired, c.Region, c.Service
}

// at returns what signs a request of this moment.
func (s *signer) at(ctx context.Context, now time.Time) (*signing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	day := now.UTC().Format("20060102")
	if s.now != nil && s.now.day == day && now.Sub(s.asked) < keysFor && now.Sub(s.asked) >= 0 {
		return s.now, nil
	}
	keys, err := s.ask(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for keys: %w", err)
	}
	s.asked = now
	if s.now == nil || s.now.day != day || s.now.keys != keys {
		s.now = &signing{keys: keys, day: day, key: dayKey(keys.Secret, day, s.region, s.service)}
	}
	return s.now, nil
}

// expire makes the next request ask for keys, because S3 refused these as expired.
func (s *signer) expire(refused *signing) {
	if refused == nil {
		return
	}
	if s.expired != nil {
		s.expired(refused.keys.Access)
	}
	s.forget(refused)
}

func (s *signer) forget(refused *signing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == refused {
		s.asked = time.Time{}
	}
}

// renewed asks for keys and reports whether they are others than those that S3 refused.
func (s *signer) renewed(ctx context.Context, refused *signing, now time.Time) bool {
	if refused == nil {
		return false
	}
	s.forget(refused)
	next, err := s.at(ctx, now)
	return err == nil && next.keys != refused.keys
}

func dayKey(secret, day, region, service string) []byte {
	key := []byte("AWS4" + secret)
	for _, text := range []string{day, region, service, "aws4_request"} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		key = h.Sum(nil)
	}
	return key
}
