// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// cluster plays claims that ask and movers that run, behind a cache that lags.
type cluster struct {
	t      *testing.T
	rand   *rand.Rand
	queue  *Queue
	clock  *clock
	caps   Caps
	asks   []*ask
	visits map[string][]string // For each waiting namespace: who had a turn since its last one.
}

// ask is one claim of the simulation.
type ask struct {
	Request

	arrives, next       time.Time
	started, shown, end time.Time
}

func (a *ask) waits(now time.Time) bool { return !now.Before(a.arrives) && a.started.IsZero() }
func (a *ask) runs(now time.Time) bool  { return !a.started.IsZero() && now.Before(a.end) }

func newCluster(t *testing.T, seed uint64) *cluster {
	r := rand.New(rand.NewPCG(seed, 1))
	c := &cluster{
		t:      t,
		rand:   r,
		caps:   Caps{Cluster: 1 + r.IntN(8), Namespace: r.IntN(4), Endpoint: r.IntN(3)},
		visits: map[string][]string{},
	}
	c.queue, c.clock = newQueue(c.caps)
	for i := range 2 + r.IntN(4) {
		namespace := string(rune('a' + i))
		first, sourceMax := time.Duration(r.IntN(120))*time.Second, 1+r.IntN(2)
		for n := range 1 + r.IntN(30) {
			a := &ask{Request: request(namespace, n), arrives: noon.Add(first)}
			a.Since = a.arrives
			a.Endpoint = []string{"", "x", "y"}[r.IntN(3)]
			if r.IntN(3) == 0 {
				a.Source, a.SourceMax = namespace, sourceMax
			}
			if r.IntN(8) == 0 {
				a.Places = 1 + r.IntN(3)
			}
			c.asks = append(c.asks, a)
		}
	}
	return c
}

// movers are what the cache shows.
func (c *cluster) movers() (all []Mover) {
	for _, a := range c.asks {
		if !a.started.IsZero() && !c.clock.now.Before(a.shown) && c.clock.now.Before(a.end.Add(5*time.Second)) {
			all = append(
				all,
				Mover{Use: a.Use, Role: a.Role, Runs: a.runs(c.clock.now), Last: true, Created: a.started.Truncate(time.Second)},
			)
		}
	}
	return all
}

// pass is what the manager does when it looks at a claim.
func (c *cluster) pass(a *ask) {
	now := c.clock.now
	a.next = now.Add(time.Minute)
	if c.queue.Ask(c.movers(), a.Request) != nil {
		return
	}
	a.started = now
	a.shown = now.Add(time.Duration(c.rand.IntN(3)) * time.Second)
	a.end = now.Add(time.Duration(1+c.rand.IntN(90)) * time.Second)
	c.checkTurn(a.Namespace)
	c.checkCaps()
}

func (c *cluster) checkCaps() {
	taken := places{}
	most := map[bound]int{}
	for _, a := range c.asks {
		if !a.runs(c.clock.now) {
			continue
		}
		taken.add(a.Use)
		for _, l := range c.caps.limits(a.Request) {
			most[l.bound] = max(l.most, most[l.bound], a.Places) // One that is larger than a cap runs alone.
		}
	}
	for b, n := range most {
		if taken[b] > n {
			c.t.Fatalf("%d run at once for %+v, the cap is %d", taken[b], b, n)
		}
	}
}

// checkTurn: while one namespace waits for the cluster only, no other gets two turns.
func (c *cluster) checkTurn(served string) {
	for namespace, since := range c.visits {
		if namespace == served {
			continue
		}
		if c.caps.Namespace == 0 && c.caps.Endpoint == 0 && slices.Contains(since, served) && c.unbound(namespace) {
			c.t.Fatalf("%s had two turns while %s waited: %v", served, namespace, since)
		}
		c.visits[namespace] = append(since, served)
	}
	delete(c.visits, served)
}

// unbound tells that a namespace has a waiter of one place without a cap of its source.
func (c *cluster) unbound(namespace string) bool {
	return slices.ContainsFunc(c.asks, func(a *ask) bool {
		return a.Namespace == namespace && a.waits(c.clock.now) && !a.next.IsZero() && a.SourceMax == 0 && a.Places == 1
	})
}

// step is one second: movers end and wake who is next; claims look again after a minute.
func (c *cluster) step() (left int) {
	c.clock.wait(time.Second)
	for _, a := range c.asks {
		if a.waits(c.clock.now) && a.next.IsZero() { // It came just now.
			if _, ok := c.visits[a.Namespace]; !ok {
				c.visits[a.Namespace] = nil
			}
			c.pass(a)
		}
	}
	for _, name := range c.queue.Next(c.movers(), v1alpha1.RolePopulate) {
		c.pass(c.asks[slices.IndexFunc(c.asks, func(a *ask) bool { return a.Name == name })])
	}
	for _, a := range c.asks {
		if a.waits(c.clock.now) && !c.clock.now.Before(a.next) {
			c.pass(a)
		}
		if a.started.IsZero() {
			left++
			if _, ok := c.visits[a.Namespace]; !ok && a.waits(c.clock.now) {
				c.visits[a.Namespace] = nil
			}
		}
	}
	return left
}

// TestNobodyStarves plays many clusters: no cap is ever passed, everybody has a turn, and
// namespaces have theirs one after the other.
func TestNobodyStarves(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c := newCluster(t, seed)
			// All places of all movers one after the other, and a minute for each.
			for steps := 0; c.step() > 0; steps++ {
				if steps > 150*(len(c.asks)+2) {
					t.Fatalf("somebody waits for ever, with caps %+v", c.caps)
				}
			}
		})
	}
}

// A tenant who asks for a thousand movers first does not stop one who asks for one.
func TestABurstStopsNobody(t *testing.T) {
	q, _ := newQueue(Caps{Cluster: 10})
	var busy []Mover
	for i := range 1000 {
		r := request("burst", i)
		if q.Ask(busy, r) == nil {
			busy = append(busy, running(r))
		}
	}
	single := request("quiet", 5000)
	if p := q.Ask(busy, single); p == nil || p.Ahead != 0 {
		t.Fatalf("position %v, want the first", p)
	}
	if got := q.Next(busy[1:], v1alpha1.RolePopulate); len(got) != 1 || got[0] != single.Name {
		t.Errorf("woken: %v", got)
	}
}
