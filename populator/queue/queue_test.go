// SPDX-License-Identifier: Apache-2.0

package queue

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// request number n of a namespace; later numbers are younger.
func request(namespace string, n int) Request {
	name := fmt.Sprintf("%s-%04d", namespace, n)
	return Request{
		Use:  Use{UID: types.UID(name), Namespace: namespace, Places: 1},
		Role: v1alpha1.RolePopulate, Name: types.NamespacedName{Namespace: namespace, Name: name},
		Since: noon.Add(time.Duration(n) * time.Second),
	}
}

func running(r Request) Mover {
	return Mover{Use: r.Use, Role: r.Role, Runs: true, Last: true, Created: noon}
}

// clock is a time that tests move.
type clock struct{ now time.Time }

func (c *clock) read() time.Time          { return c.now }
func (c *clock) wait(d time.Duration)     { c.now = c.now.Add(d) }
func newQueue(caps Caps) (*Queue, *clock) { c := &clock{noon}; return New(caps, c.read), c }

func TestCaps(t *testing.T) {
	other := func(change func(*Request)) Request { r := request("b", 1); change(&r); return r }
	minio := func(r *Request) { r.Endpoint = "minio:9000" }
	source := func(r *Request) { r.Source, r.SourceMax = "s", 1 }
	cases := map[string]struct {
		caps    Caps
		first   Request
		second  Request
		blocked Cap
	}{
		"no cap":            {Caps{}, request("a", 0), request("a", 1), ""},
		"the cluster's":     {Caps{Cluster: 1}, request("a", 0), request("b", 1), Cluster},
		"the namespace's":   {Caps{Namespace: 1}, request("a", 0), request("a", 1), Namespace},
		"another namespace": {Caps{Namespace: 1}, request("a", 0), request("b", 1), ""},
		"the endpoint's": {
			Caps{Endpoint: 1},
			other(minio),
			func() Request { r := request("a", 2); minio(&r); return r }(),
			Endpoint,
		},
		"another endpoint": {Caps{Endpoint: 1}, other(minio), request("a", 2), ""},
		"the source's": {
			Caps{},
			other(source),
			func() Request { r := request("b", 2); source(&r); return r }(),
			Source,
		},
		"the narrowest is named": {Caps{Cluster: 1, Namespace: 1}, request("a", 0), request("a", 1), Namespace},
		"a Job with too many places": {
			Caps{Cluster: 2},
			request("a", 0),
			func() Request { r := request("b", 1); r.Places = 5; return r }(),
			Cluster,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			q, _ := newQueue(c.caps)
			if p := q.Ask(nil, c.first); p != nil {
				t.Fatalf("the first waits: %s", p)
			}
			p := q.Ask([]Mover{running(c.first)}, c.second)
			if (p == nil) != (c.blocked == "") || p != nil && p.Cap != c.blocked {
				t.Errorf("position %+v, want cap %q", p, c.blocked)
			}
			if p := q.Ask(nil, c.second); p != nil {
				t.Errorf("nothing runs any more, and it still waits: %s", p)
			}
		})
	}
}

// The cache shows a mover a moment after it was made: two that ask meanwhile must not both
// get the last place.
func TestTheLastPlaceIsGivenOnce(t *testing.T) {
	q, now := newQueue(Caps{Cluster: 1})
	first, second := request("a", 0), request("b", 0)
	if q.Ask(nil, first) != nil || q.Ask(nil, second) == nil {
		t.Fatal("both, or none, got the last place")
	}
	if q.Ask(nil, first) != nil {
		t.Error("who was let in lost its place by asking again")
	}
	now.wait(reservation)
	if p := q.Ask(nil, second); p != nil {
		t.Errorf("a place that nobody took is lost: %s", p)
	}
}

func TestAReleasedPlaceIsFree(t *testing.T) {
	q, _ := newQueue(Caps{Cluster: 1})
	first := request("a", 0)
	q.Ask(nil, first)
	q.Release(first.UID)
	if p := q.Ask(nil, request("b", 0)); p != nil {
		t.Error(p)
	}
}

// The pod that comes before a mover of the same run keeps the mover's place.
func TestAPlaceOutlivesThePodBefore(t *testing.T) {
	q, now := newQueue(Caps{Cluster: 1})
	first, second := request("a", 0), request("b", 0)
	q.Ask(nil, first)
	before := running(first)
	before.Last = false
	now.wait(time.Hour)
	q.reserved[first.UID] = reserved{first.Use, now.now.Add(time.Second)}
	if q.Ask([]Mover{before}, second) == nil {
		t.Error("two at once")
	}
	now.wait(reservation - time.Second)
	if q.Ask(nil, second) == nil {
		t.Error("the place was given away between the two pods of one run")
	}
	if p := q.Ask(nil, first); p != nil {
		t.Errorf("the mover waits again: %s", p)
	}
}

// A waiter that was woken and does not come holds nobody up, and has its turn when it comes.
func TestWhoDoesNotComeIsPassedOver(t *testing.T) {
	q, now := newQueue(Caps{Cluster: 1})
	holder, sleeper, other := request("a", 0), request("a", 1), request("b", 0)
	busy := []Mover{running(holder)}
	q.Ask(nil, holder)
	q.Ask(busy, sleeper)
	q.Ask(busy, other)
	q.line("b").served = now.now.Add(time.Hour)
	if got := q.Next(nil, v1alpha1.RolePopulate); len(got) != 1 || got[0] != sleeper.Name {
		t.Fatalf("woken: %v", got)
	}
	if q.Ask(nil, other) == nil {
		t.Fatal("passed one that was only just woken")
	}
	now.wait(answerTime + 1)
	if p := q.Ask(nil, other); p != nil {
		t.Error(p)
	}
}

// Only waiters of the asked role are woken, but all are counted.
func TestNextKeepsTheRolesApart(t *testing.T) {
	q, _ := newQueue(Caps{Cluster: 1})
	holder, listing := request("a", 0), request("b", 0)
	listing.Role = v1alpha1.RoleInventory
	q.Ask(nil, holder)
	q.Ask([]Mover{running(holder)}, listing)
	if got := q.Next(nil, v1alpha1.RolePopulate); len(got) != 0 {
		t.Errorf("woken: %v", got)
	}
	if got := q.Next(nil, v1alpha1.RoleInventory); len(got) != 1 {
		t.Errorf("woken: %v", got)
	}
}

// A restart has nothing in memory but what the cache shows.
func TestARestartForgetsNoMoverAndNoTurn(t *testing.T) {
	q, _ := newQueue(Caps{Cluster: 2})
	a, b := request("a", 0), request("b", 0)
	one := running(a)
	if q.Ask([]Mover{one, running(b)}, request("c", 0)) == nil {
		t.Error("movers from before the restart are not counted")
	}
	one.Created = noon.Add(-time.Minute)
	q, _ = newQueue(Caps{Cluster: 2})
	busy := []Mover{one, running(b)}
	q.Ask(busy, request("b", 1))
	q.Ask(busy, request("a", 1))
	if got := q.Next([]Mover{running(b), {Use: Use{Namespace: "a"}, Created: one.Created}},
		v1alpha1.RolePopulate); len(got) != 1 || got[0].Namespace != "a" {
		t.Errorf("the turn is %v, want that of a, which had one longer ago", got)
	}
}

// A position is written at most once a minute, and never says less than is true.
func TestPositions(t *testing.T) {
	q, now := newQueue(Caps{Cluster: 1})
	holder := request("a", 0)
	busy := []Mover{running(holder)}
	for i := range 150 {
		q.Ask(busy, request("a", i+1))
	}
	last := request("a", 151)
	p := q.Ask(busy, last)
	if want := "at most 1 movers run in the cluster at once (--max-movers); about 150 movers are ahead."; p == nil ||
		p.String() != want {
		t.Fatalf("says %q", p)
	}
	for i := range 100 {
		q.Leave(v1alpha1.RolePopulate, request("a", i+1).Name)
	}
	if again := q.Ask(busy, last); again.Ahead != p.Ahead {
		t.Errorf("told %d, then %d in the same minute", p.Ahead, again.Ahead)
	}
	now.wait(tellEvery)
	if later := q.Ask(busy, last); later.Ahead != 50 || later.Waited != tellEvery {
		t.Errorf("a minute later: %+v", later)
	}
	if got := []int{rounded(7), rounded(99), rounded(101), rounded(1234)}; !cmp.Equal(got, []int{7, 99, 100, 1200}) {
		t.Error(got)
	}
}

// Movers that the scheduler has no node for fill no cap.
func TestWhichPodsTakeAPlace(t *testing.T) {
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "a",
				Labels:    map[string]string{v1alpha1.LabelRole: v1alpha1.RolePopulate, v1alpha1.LabelClaimUID: "c"},
			},
		}
		change(p)
		return p
	}
	unschedulable := func(p *corev1.Pod) {
		p.Status.Conditions = []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable},
		}
	}
	onNode := func(p *corev1.Pod) { p.Spec.NodeName = "n" }
	goes := func(ago time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) { onNode(p); p.DeletionTimestamp = new(metav1.NewTime(noon.Add(-ago))) }
	}
	cases := map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"just made":             {func(*corev1.Pod) {}, true},
		"unschedulable":         {unschedulable, false},
		"on a node":             {onNode, true},
		"being deleted":         {goes(time.Second), true},
		"on a node that is off": {goes(lostAfter + time.Second), false},
		"failed":                {func(p *corev1.Pod) { onNode(p); p.Status.Phase = corev1.PodFailed }, false},
		"ended beside a sidecar": {func(p *corev1.Pod) {
			onNode(p)
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses = []corev1.ContainerStatus{
				{Name: moverpod.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
			}
		}, false},
	}
	for name, c := range cases {
		if m := MoverOf(pod(c.change), noon); m.Runs != c.want || m.UID != "c" || !m.Last {
			t.Errorf("%s: %+v, want a place: %v", name, m, c.want)
		}
	}
	if !Freed(pod(onNode), pod(unschedulable), noon) || Freed(pod(unschedulable), pod(onNode), noon) {
		t.Error("a place is free when a pod does not run any more")
	}
}

func TestNoQueueHasNoCaps(t *testing.T) {
	var q *Queue
	q.Leave("", types.NamespacedName{})
	q.Release("")
	if q.Ask(nil, request("a", 0)) != nil || q.Next(nil, "") != nil {
		t.Error("a nil queue keeps somebody waiting")
	}
}

// A mover of an export or an import counts by the run that it serves: two of one claim are two.
func TestMoverOfARun(t *testing.T) {
	for role, label := range map[string]string{
		v1alpha1.RoleExport: v1alpha1.LabelExportUID, v1alpha1.RoleAbort: v1alpha1.LabelExportUID,
		v1alpha1.RoleImport: v1alpha1.LabelImportUID,
	} {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Labels: map[string]string{v1alpha1.LabelRole: role, label: "e", v1alpha1.LabelSourceUID: "s"},
		}}
		if m := MoverOf(p, noon); m.UID != "e" || !m.Last || !m.Runs {
			t.Errorf("a pod of role %s counts as %+v", role, m)
		}
	}
}
