// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestAttemptsAfter(t *testing.T) {
	hash := SpecHash(world().Source, world().Claim)
	cases := map[string]struct {
		before Attempts
		mover  change
		want   Attempts
	}{
		"the first failure counts": {
			Attempts{},
			retryMover,
			Attempts{Hash: hash, Failures: 1, Reason: wire.EndpointUnreachable, Message: "No route."},
		},
		"a user's failure is final": {
			Attempts{Hash: hash, Failures: 2},
			userMover,
			Attempts{Hash: hash, Failures: 3, Terminal: true, Reason: wire.AccessDenied, Message: "Wrong keys."},
		},
		"another spec starts from nothing": {
			Attempts{Hash: "old", Failures: 5},
			retryMover,
			Attempts{Hash: hash, Failures: 1, Reason: wire.EndpointUnreachable, Message: "No route."},
		},
		"an eviction is no failure": {
			Attempts{Hash: hash, Failures: 2},
			evictedMover,
			Attempts{Hash: hash, Failures: 2, Disruptions: 1, Reason: wire.TransferFailed, Message: "The mover ended with exit code 137 and no report ()."},
		},
		"exit 0 without a report is a failure": {
			Attempts{},
			silentMover,
			Attempts{Hash: hash, Failures: 1, Reason: wire.TransferFailed, Message: "The mover ended with exit code 0 and no report ()."},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Mover, c.want.At = moverUID, noon
			if diff := cmp.Diff(c.want, c.before.After(world(c.mover).Mover, noon)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAttemptsEnd(t *testing.T) {
	cases := map[string]struct {
		in   Attempts
		want bool
	}{
		"below the limit":          {Attempts{Failures: 2}, false},
		"at the limit":             {Attempts{Failures: 3}, false},
		"above the limit":          {Attempts{Failures: 4}, true},
		"final":                    {Attempts{Failures: 1, Terminal: true}, true},
		"disrupted now and then":   {Attempts{Failures: 1, Disruptions: 40}, false},
		"disrupted without end":    {Attempts{Disruptions: 51}, true},
		"disrupted, then at limit": {Attempts{Failures: 3, Disruptions: 10}, false},
	}
	for name, c := range cases {
		if got := c.in.exhausted(3); got != c.want {
			t.Errorf("%s: exhausted = %t, want %t", name, got, c.want)
		}
	}
}

func TestBackoffDoublesToItsEnd(t *testing.T) {
	var got []time.Duration
	for n := 1; n <= 8; n++ {
		got = append(got, Attempts{Failures: n, At: noon}.next().Sub(noon))
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("back-off (-want +got):\n%s", diff)
	}
}

func TestADamagedAnnotationCountsAsNone(t *testing.T) {
	s := world(boundPrime)
	s.Prime.Annotations["s3populator.io/attempts"] = "{"
	if diff := cmp.Diff(Attempts{}, ReadAttempts(s.Prime)); diff != "" {
		t.Error(diff)
	}
}
