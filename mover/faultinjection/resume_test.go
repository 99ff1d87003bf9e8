// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestEachLifeGoesOn kills movers that are given no more than a portion of an object each, so that none
// gets through who begins anew: what each leaves behind is not asked for again.
func TestEachLifeGoesOn(t *testing.T) {
	t.Parallel()
	withEngines(t, func(t *testing.T, engine string) {
		const kills = 2
		s := startServer(t)
		want := s.huge(t)
		g, address := startGate(t, s, 0)
		a := newAttempt(t, engine, address)
		for range kills {
			before := a.noted()
			g.open(before + portion)
			cmd := a.spawn(filepath.Join(t.TempDir(), "report"))
			waitFor(t, patience, "the journal knows of more", func() bool { return a.noted() >= before+noticed })
			killGroup(cmd)
			a.request.Attempt++
		}
		g.open(a.noted() + portion) // Which is all that is left.
		if r := a.run(2*patience, want); r.Class != wire.Done {
			t.Fatalf("the report is %+v", r)
		}
		const onItsWay = 4 << 20 // To a process that is dead.
		if most := int64(hugeSize + kills*(portion-noticed+onItsWay)); g.total() > most {
			t.Errorf("%d bytes were asked for of an object of %d, want %d at most", g.total(), int64(hugeSize), most)
		}
	})
}

// TestNobodyAnswersAnyMore breaks off what is on its way, and all that is asked after that. However often that
// is, what has arrived stays.
func TestNobodyAnswersAnyMore(t *testing.T) {
	t.Parallel()
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.huge(t)
		g, address := startGate(t, s, portion)
		a := newAttempt(t, engine, address)
		a.options.IdleTimeout = time.Hour // Nothing ends it but that nobody answers.
		first := make(chan wire.Report, 1)
		go func() { first <- a.run(2*patience, want) }()
		waitFor(t, patience, "the journal knows of the beginning", func() bool { return a.noted() >= noticed })
		g.close()
		a.mustEnd(<-first, wire.EndpointUnreachable)
		noted := a.noted()
		g.open(hugeSize)
		r := a.run(2*patience, want)
		if most := totalSize(want) - noted; r.Class != wire.Done || r.FetchedBytes > most {
			t.Errorf("%d bytes came, want %d at most; the report is %+v", r.FetchedBytes, most, r)
		}
	})
}
