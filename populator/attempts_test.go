// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestAttemptsAfter(t *testing.T) {
	hash := specHash(world().Source, world().Claim)
	cases := map[string]struct {
		before attempts
		mover  change
		want   attempts
	}{
		"the first failure counts": {
			attempts{},
			retryMover,
			attempts{Hash: hash, Failures: 1, Reason: wire.EndpointUnreachable, Message: "No route."},
		},
		"a user's failure is final": {
			attempts{Hash: hash, Failures: 2},
			userMover,
			attempts{Hash: hash, Failures: 3, Terminal: true, Reason: wire.AccessDenied, Message: "Wrong keys."},
		},
		"another spec starts from nothing": {
			attempts{Hash: "old", Failures: 5},
			retryMover,
			attempts{Hash: hash, Failures: 1, Reason: wire.EndpointUnreachable, Message: "No route."},
		},
		"an eviction is no failure": {
			attempts{Hash: hash, Failures: 2},
			evictedMover,
			attempts{Hash: hash, Failures: 2, Disruptions: 1, Reason: wire.TransferFailed, Message: "The mover ended with exit code 137 and no report ()."},
		},
		"exit 0 without a report is a failure": {
			attempts{},
			silentMover,
			attempts{Hash: hash, Failures: 1, Reason: wire.TransferFailed, Message: "The mover ended with exit code 0 and no report ()."},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Mover, c.want.At = moverUID, noon
			if diff := cmp.Diff(c.want, c.before.after(world(c.mover).Mover, noon)); diff != "" {
				t.Errorf("attempts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAttemptsEnd(t *testing.T) {
	cases := map[string]struct {
		in   attempts
		want bool
	}{
		"below the limit":          {attempts{Failures: 2}, false},
		"at the limit":             {attempts{Failures: 3}, false},
		"above the limit":          {attempts{Failures: 4}, true},
		"final":                    {attempts{Failures: 1, Terminal: true}, true},
		"disrupted now and then":   {attempts{Failures: 1, Disruptions: 40}, false},
		"disrupted without end":    {attempts{Disruptions: 51}, true},
		"disrupted, then at limit": {attempts{Failures: 3, Disruptions: 10}, false},
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
		got = append(got, attempts{Failures: n, At: noon}.next().Sub(noon))
	}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("back-off (-want +got):\n%s", diff)
	}
}

func TestADamagedAnnotationCountsAsNone(t *testing.T) {
	s := world(boundPrime)
	s.Prime.Annotations["s3populator.io/attempts"] = "{"
	if diff := cmp.Diff(attempts{}, readAttempts(s.Prime)); diff != "" {
		t.Error(diff)
	}
}
