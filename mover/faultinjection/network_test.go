// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestASlowNetworkIsNoFault: none of these is a reason to give up.
func TestASlowNetworkIsNoFault(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kind       string
		attributes map[string]int
	}{
		"a slow first byte": {"latency", map[string]int{"latency": 400, "jitter": 300}},
		"little bandwidth":  {"bandwidth", map[string]int{"rate": 8 << 10}}, // In KB a second.
		"small pieces":      {"slicer", map[string]int{"average_size": 900, "size_variation": 600, "delay": 20}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := s.small(t, 20)
				if tt.kind == "bandwidth" {
					want = s.data(t, 20)
				}
				n := startNetwork(t, s.address)
				n.add(tt.kind, tt.attributes)
				a := newAttempt(t, engine, n.address)
				if r := a.run(5*time.Minute, want); r.Class != wire.Done {
					t.Errorf("the report is %+v", r)
				}
			})
		})
	}
}

// TestTheNetworkBreaksMidway breaks it when some bytes have arrived. The attempt ends by
// itself, blames the network, and what it left behind is good for the next one.
func TestTheNetworkBreaksMidway(t *testing.T) {
	t.Parallel()
	const soon = 10 * time.Second // More than a busy machine takes; a network that stalls is waited for for minutes.
	for name, tt := range map[string]struct {
		breakIt func(*network)
		answers time.Duration // How long S3 may take for them; 0 for as long as ever.
	}{
		"reset":       {func(n *network) { n.add("reset_peer", map[string]int{"timeout": 0}) }, 0},
		"stalled":     {func(n *network) { n.add("timeout", map[string]int{"timeout": 0}) }, soon},
		"closed":      {func(n *network) { n.add("timeout", map[string]int{"timeout": 1}) }, 0},
		"unreachable": {func(n *network) { n.enable(false) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := s.data(t, 5)
				n := startNetwork(t, s.address)
				n.add("bandwidth", map[string]int{"rate": 1 << 10}) // So that there is a middle, on a busy machine, too.
				a := newAttempt(t, engine, n.address)
				a.options.AnswerTimeout = tt.answers
				first := make(chan wire.Report, 1)
				go func() { first <- a.run(5*time.Minute, want) }()
				waitFor(t, time.Minute, "some bytes have arrived", func() bool { return a.arrived() > 4<<20 })
				tt.breakIt(n)
				r := <-first
				a.mustEnd(r, wire.EndpointUnreachable)
				if !r.Class.Again() {
					t.Errorf("the class is %s, and nobody would try again", r.Class)
				}
				a.request.Source.Endpoint, a.options.AnswerTimeout = "http://"+s.address, 0
				a.mustFinish(want)
			})
		})
	}
}

// TestConnectionsThatEndEarly have each answer cut after as many bytes: small objects come
// through, and what is larger is asked for again from where it ended, or fails.
func TestConnectionsThatEndEarly(t *testing.T) {
	t.Parallel()
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.data(t, 20)
		n := startNetwork(t, s.address)
		n.add("limit_data", map[string]int{"bytes": 6 << 20})
		a := newAttempt(t, engine, n.address)
		if r := a.run(5*time.Minute, want); r.Class != wire.Done {
			a.mustEnd(r, wire.EndpointUnreachable, wire.TransferFailed)
			if !r.Class.Again() {
				t.Errorf("the class is %s, and nobody would try again", r.Class)
			}
		}
		a.request.Source.Endpoint = "http://" + s.address
		a.mustFinishUnlessDone(want)
	})
}
