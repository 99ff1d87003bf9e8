// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestAttemptsAfter(t *testing.T) {
	hash, pod := baseHash(), basePod()
	waiting := func(r wire.Reason, progressed bool) change {
		return withMover(
			corev1.PodFailed,
			4,
			string(wire.Report{Class: wire.RetryUncounted, Reason: r, Message: "Later.", Progressed: progressed}.Encode()),
		)
	}
	began := withMover(
		corev1.PodFailed,
		3,
		string(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "Later.", Began: true}.Encode()),
	)
	cases := map[string]struct {
		before Attempts
		mover  change
		want   Attempts
	}{
		"the first failure counts": {
			Attempts{},
			retryMover,
			Attempts{Movers: 1, Failures: 1, Reason: wire.TransferFailed, Message: "No luck."},
		},
		"a user's failure is final": {
			Attempts{Hash: hash, Pod: pod, Movers: 2, Failures: 2},
			userMover,
			Attempts{Movers: 3, Failures: 3, Terminal: true, Reason: wire.AccessDenied, Message: "Wrong keys."},
		},
		"another request starts from nothing": {
			Attempts{Hash: "old", Pod: pod, Movers: 9, Failures: 5},
			retryMover,
			Attempts{Movers: 10, Failures: 1, Edits: 1, EditedAt: noon, Reason: wire.TransferFailed, Message: "No luck."},
		},
		"another pod too": {
			Attempts{Hash: hash, Pod: "old", Movers: 9, Failures: 5},
			retryMover,
			Attempts{Movers: 10, Failures: 1, Edits: 1, EditedAt: noon, Reason: wire.TransferFailed, Message: "No luck."},
		},
		"an eviction is no failure": {
			Attempts{Hash: hash, Pod: pod, Movers: 2, Failures: 2},
			evictedMover,
			Attempts{
				Movers:      3,
				Failures:    2,
				Disruptions: 1,
				Reason:      wire.TransferFailed,
				Message:     "The mover ended with exit code 137 and no report ().",
			},
		},
		"exit 0 without a report is a failure": {
			Attempts{},
			silentMover,
			Attempts{
				Movers:   1,
				Failures: 1,
				Reason:   wire.TransferFailed,
				Message:  "The mover ended with exit code 0 and no report ().",
			},
		},
		"to be throttled is no failure": {
			Attempts{Hash: hash, Pod: pod, Movers: 2, Failures: 2},
			waiting(wire.Throttled, false),
			Attempts{Movers: 3, Failures: 2, Waits: 1, Since: noon, Reason: wire.Throttled, Message: "Later."},
		},
		"a wait remembers since when": {
			Attempts{Hash: hash, Pod: pod, Movers: 7, Waits: 7, Since: noon.Add(-time.Hour)},
			waiting(wire.EndpointUnreachable, false),
			Attempts{Movers: 8, Waits: 8, Since: noon.Add(-time.Hour), Reason: wire.EndpointUnreachable, Message: "Later."},
		},
		"progress gives all attempts back": {
			Attempts{Hash: hash, Pod: pod, Movers: 53, Failures: 3, Disruptions: 50},
			waiting(wire.TransferFailed, true),
			Attempts{Movers: 54, Reason: wire.TransferFailed, Message: "Later."},
		},
		"progress ends a wait": {
			Attempts{Hash: hash, Pod: pod, Movers: 7, Waits: 7, Since: noon.Add(-time.Hour)},
			waiting(wire.Throttled, true),
			Attempts{Movers: 8, Reason: wire.Throttled, Message: "Later."},
		},
		"a failure ends a wait": {
			Attempts{Hash: hash, Pod: pod, Movers: 7, Failures: 1, Waits: 6, Since: noon.Add(-time.Hour)},
			retryMover,
			Attempts{Movers: 8, Failures: 2, Reason: wire.TransferFailed, Message: "No luck."},
		},
		"a volume that is only compared is not ours": {
			Attempts{Hash: hash, Pod: pod, Movers: 1},
			func(s *State) {
				refusedMover(s)
				s.Mover.Annotations[v1alpha1.AnnotationProgress] = `{"phase":"Verifying"}`
			},
			Attempts{
				Movers:   2,
				Failures: 1,
				Held:     true,
				Terminal: true,
				Reason:   wire.VolumeNotEmpty,
				Message:  fullReport.Message,
			},
		},
		"a volume that is ours is not somebody's": {
			Attempts{Hash: hash, Pod: pod, Movers: 1, Held: true},
			began,
			Attempts{Movers: 2, Failures: 1, Began: true, Reason: wire.TransferFailed, Message: "Later."},
		},
		"a volume of ours stays ours": {
			Attempts{Hash: hash, Pod: pod},
			began,
			Attempts{Movers: 1, Failures: 1, Began: true, Reason: wire.TransferFailed, Message: "Later."},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			c.want.Hash, c.want.Pod, c.want.Mover, c.want.At = hash, pod, moverUID, noon
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
		"waiting for a week":       {Attempts{Failures: 3, Waits: 700}, false},
		"waiting, the limit lower": {Attempts{Failures: 4, Waits: 1}, false},
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
	want := []time.Duration{
		10 * time.Second,
		20 * time.Second,
		40 * time.Second,
		80 * time.Second,
		160 * time.Second,
		5 * time.Minute,
		5 * time.Minute,
		5 * time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("back-off (-want +got):\n%s", diff)
	}
}

func TestWaitsGrowToAQuarterOfAnHour(t *testing.T) {
	var got []time.Duration
	for _, n := range []int{1, 2, 5, 6, 7, 8, 1000} {
		got = append(got, Attempts{Failures: 2, Waits: n, At: noon}.next().Sub(noon))
	}
	want := []time.Duration{
		10 * time.Second,
		20 * time.Second,
		160 * time.Second,
		320 * time.Second,
		640 * time.Second,
		15 * time.Minute,
		15 * time.Minute,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("back-off (-want +got):\n%s", diff)
	}
}

// A mover that a change has ended counts as no failure, and a source that keeps changing
// is followed more and more slowly until it was quiet for a while.
func TestSuperseded(t *testing.T) {
	s := world(boundPrime, runningMover)
	s.Mover.Annotations[v1alpha1.AnnotationProgress] = `{"phase":"Transferring"}`
	a := Attempts{Hash: baseHash(), Pod: basePod(), Failures: 2, Movers: 2}
	var delays []time.Duration
	for range 4 {
		a = a.Superseded(s.Mover, noon)
		delays = append(delays, max(0, a.settled().Sub(noon)))
	}
	if a.Failures != 2 || a.Movers != 6 || !a.Began || a.Mover != moverUID {
		t.Errorf("attempts %+v", a)
	}
	if diff := cmp.Diff([]time.Duration{0, 0, 10 * time.Second, 20 * time.Second}, delays); diff != "" {
		t.Errorf("delays (-want +got):\n%s", diff)
	}
	if a = a.Superseded(s.Mover, noon.Add(time.Hour)); a.Edits != 1 {
		t.Errorf("after a quiet hour %d edits are remembered", a.Edits)
	}
}

// What an earlier version wrote about its failures is read, and counts its movers.
func TestAttemptsOfAnEarlierVersion(t *testing.T) {
	s := world(boundPrime)
	s.Prime.Annotations[v1alpha1.AnnotationAttempts] = `{"hash":"0123456789abcdef","failures":2,"disruptions":1,"mover":"m","at":"2026-05-04T12:00:00Z","reason":"AccessDenied","message":"No."}`
	if a := ReadAttempts(s.Prime); a.number() != 4 || !a.fresh(s) {
		t.Errorf("attempts %+v, number %d", a, a.number())
	}
}

func TestADamagedAnnotationCountsAsNone(t *testing.T) {
	s := world(boundPrime)
	s.Prime.Annotations["s3populator.io/attempts"] = "{"
	if diff := cmp.Diff(Attempts{}, ReadAttempts(s.Prime)); diff != "" {
		t.Error(diff)
	}
}

// To compare what is on a volume comes before it is known to be ours.
func TestAMoverThatOnlyComparedHasNotBegun(t *testing.T) {
	saying := func(phase wire.Phase) change {
		return func(s *State) {
			s.Mover.Annotations[v1alpha1.AnnotationProgress] = encoded(wire.Snapshot{Phase: phase})
		}
	}
	cases := map[string]struct {
		in   State
		want bool
	}{
		"it refused what it had compared":           {world(refusedMover, saying(wire.Verifying)), false},
		"its report is the last word":               {world(refusedMover, saying(wire.Transferring)), false},
		"it was lost while it listed":               {world(evictedMover, saying(wire.Listing)), false},
		"it was lost while it compared":             {world(evictedMover, saying(wire.Verifying)), false},
		"it was lost while it wrote":                {world(evictedMover, saying(wire.Transferring)), true},
		"it was lost while it made it durable":      {world(evictedMover, saying(wire.Syncing)), true},
		"it was deleted while it wrote":             {world(deletingMover, saying(wire.Transferring)), true},
		"it is done":                                {world(doneMover), true},
		"it ended with a code that is not a report": {world(lyingMover), false},
	}
	for name, c := range cases {
		if got := (Attempts{}).After(c.in.Mover, noon).Began; got != c.want {
			t.Errorf("%s: began is %v", name, got)
		}
	}
}
