// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/populator/queue"
)

func queued(waited time.Duration) change {
	return func(s *State) {
		s.Queued = &queue.Position{Cap: queue.Namespace, Name: "team", Most: 100, Ahead: 12, Waited: waited}
	}
}

// In no world does a claim that is queued start a pod, and in none is its turn asked for
// when something else is in the way.
func TestNothingStartsBeforeItsTurn(t *testing.T) {
	if testing.Short() {
		t.Skip("walks hundreds of thousands of worlds")
	}
	started := 0
	walk(dimensions, nil, func(changes []change) {
		s := world(changes...)
		d := Decide(s)
		if WantsPlace(s) != starts(d.Action) {
			t.Fatalf("WantsPlace is %v, decided %+v", WantsPlace(s), d)
		}
		if starts(d.Action) {
			started++
		}
		queued(time.Minute)(&s)
		q := Decide(s)
		if starts(d.Action) && (q.Action != Wait || q.Reason != v1alpha1.ReasonQueued || q.Recheck <= 0) {
			t.Fatalf("a queued claim decides %+v", q)
		}
		if !starts(d.Action) && q != d {
			t.Fatalf("the queue changes %+v into %+v", d, q)
		}
	})
	if started == 0 {
		t.Error("no world starts a mover")
	}
}

// A consumer is the first pod of its mover's run: it waits for the same place.
func TestAConsumerWaitsForItsTurn(t *testing.T) {
	s := world(lateClass, bindNow, withPrime)
	if d := Decide(s); d.Action != StartConsumer || !WantsPlace(s) {
		t.Fatalf("decided %+v", d)
	}
	queued(time.Minute)(&s)
	if d := Decide(s); d.Reason != v1alpha1.ReasonQueued {
		t.Errorf("decided %+v while queued", d)
	}
}

func TestQueuedIsToldAfterAWhile(t *testing.T) {
	d := Decide(world(boundPrime, queued(time.Second)))
	if d.Action != Wait || d.Reason != "" || d.Recheck <= 0 || d.Recheck > queueQuiet {
		t.Errorf("after a second: %+v", d)
	}
	d = Decide(world(boundPrime, queued(time.Second), toldToWait))
	if d.Reason != v1alpha1.ReasonQueued {
		t.Errorf("with a condition to correct: %+v", d)
	}
	d = Decide(world(boundPrime, queued(queueQuiet)))
	want := "at most 100 movers run in namespace team at once (--max-movers-per-namespace); 12 ahead of it."
	if d.Reason != v1alpha1.ReasonQueued || !strings.HasSuffix(d.Message, want) {
		t.Errorf("after a while: %+v", d)
	}
	if all := EventsFor(world(boundPrime), d); len(all) != 0 {
		t.Errorf("says %v", all)
	}
}

// A mover carries what it is counted by, so that a restart knows it again.
func TestAMoverCarriesWhatItIsCountedBy(t *testing.T) {
	s := world(boundPrime, func(s *State) { s.Source.Spec.Endpoint = "https://minio.data.svc:9000/" })
	pod, err := Mover(s, MoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := queue.MoverOf(pod, noon).Use, PlaceFor(s).Use; got != want {
		t.Errorf("the pod counts as %+v, asked for was %+v", got, want)
	}
	if got, want := queue.MoverOf(Consumer(s, MoverOptions{}), noon), PlaceFor(s).Use; got.Use != want || got.Last {
		t.Errorf("its consumer counts as %+v, asked for was %+v", got, want)
	}
	if got := PlaceFor(s); got.Endpoint != "minio.data.svc:9000" {
		t.Errorf("asks for %+v", got)
	}
}
