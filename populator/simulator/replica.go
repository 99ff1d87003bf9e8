// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Watch is one kind that wakes a controller.
type Watch struct {
	Object     client.Object
	Requests   handler.MapFunc
	Predicates []predicate.Predicate
}

// Controller is a reconciler and what wakes it.
type Controller struct {
	Name       string
	Watches    []Watch
	Reconciler reconcile.Reconciler
}

// Manager is one process of the subject, with nothing remembered yet.
type Manager struct {
	Controllers []Controller
	// Index registers the fields of the cache.
	Index func(client.FieldIndexer) error
	// Sweep runs every SweepEvery.
	Sweep      func(context.Context) error
	SweepEvery time.Duration
}

// Subject is what is judged.
type Subject struct {
	Scheme *runtime.Scheme
	// Transform is the manager's cache options; it gets a copy.
	Transform Transform
	// CrashAfter kills the process that made this write, counted from 1; zero kills none.
	CrashAfter int
	// New starts a process. Its cached client lags, its live one does not.
	New func(cached client.Client, live client.Reader, now func() time.Time) Manager
}

// item is a request in the queue of a controller, due at some time.
type item struct {
	controller int
	request    reconcile.Request
}

// replica is a process of the manager.
type replica struct {
	w       *world
	name    string
	leading bool
	// zombie has lost its lease and does not know yet.
	zombie   bool
	cache    *lagging
	manager  Manager
	due      map[item]time.Time
	failures map[item]int
	active   map[item]bool
	sweepAt  time.Time
	// life counts processes, so that what an earlier one had begun ends.
	life int
	// stalled is a kind whose watch brings nothing for a while.
	stalled reflect.Type
	// mapping: a change is mapped to requests, which reads the cache and nothing else.
	mapping bool
}

func newReplica(w *world, name string) *replica { return &replica{w: w, name: name} }

// lead starts the controllers: whatever the cache shows is looked at first.
func (r *replica) lead() {
	w := r.w
	r.cache = newCache(w.server, w.subject.Transform)
	r.life++
	g := &door{w: w, replica: r, life: r.life}
	live := liveSource{w.server}
	r.manager = w.subject.New(&api{w.server, g, r.cache}, &api{w.server, g, live}, func() time.Time { return w.now })
	w.must(r.manager.Index(r.cache))
	r.due, r.failures, r.active = map[item]time.Time{}, map[item]int{}, map[item]bool{}
	r.leading, r.zombie, r.sweepAt = true, false, w.now
	for i, c := range r.manager.Controllers {
		for _, watch := range c.Watches {
			for _, o := range sorted[client.Object](r.cache.snapshot(kindOf(watch.Object))) {
				r.wake(i, watch, change{after: o})
			}
		}
	}
}

// stop forgets everything.
func (r *replica) stop() {
	r.leading, r.zombie, r.cache, r.due, r.stalled = false, false, nil, nil, nil
	r.life++
}

func (r *replica) kinds() []reflect.Type {
	var kinds []reflect.Type
	for _, c := range r.manager.Controllers {
		for _, watch := range c.Watches {
			if k := kindOf(watch.Object); !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	for k := range r.cache.informers {
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	slices.SortFunc(kinds, func(a, b reflect.Type) int { return cmpString(a.String(), b.String()) })
	return kinds
}

// hear takes the next change of a kind in and wakes whom it concerns.
func (r *replica) hear(kind reflect.Type) {
	c := r.cache.advance(kind)
	if c.before == nil && c.after == nil {
		return
	}
	for i, controller := range r.manager.Controllers {
		for _, watch := range controller.Watches {
			if kindOf(watch.Object) == kind {
				r.wake(i, watch, c)
			}
		}
	}
}

func (r *replica) wake(controller int, watch Watch, c change) {
	about := []client.Object{}
	var passes func(predicate.Predicate) bool
	switch {
	case c.before == nil:
		about = append(about, c.after)
		passes = func(p predicate.Predicate) bool { return p.Create(event.CreateEvent{Object: c.after}) }
	case c.after == nil:
		about = append(about, c.before)
		passes = func(p predicate.Predicate) bool { return p.Delete(event.DeleteEvent{Object: c.before}) }
	default:
		about = append(about, c.before, c.after)
		passes = func(p predicate.Predicate) bool {
			return p.Update(event.UpdateEvent{ObjectOld: c.before, ObjectNew: c.after})
		}
	}
	for _, p := range watch.Predicates {
		if !passes(p) {
			return
		}
	}
	r.mapping = true
	defer func() { r.mapping = false }()
	for _, o := range about {
		for _, request := range watch.Requests(context.Background(), o) {
			r.enqueue(item{controller, request}, r.w.now)
		}
	}
}

// enqueue keeps the earliest time, as a work queue does.
func (r *replica) enqueue(i item, at time.Time) {
	if was, ok := r.due[i]; !ok || at.Before(was) {
		r.due[i] = at
	}
}

// ready are the items that are due, in a fixed order.
func (r *replica) ready() []item {
	var list []item
	for i, at := range r.due {
		if !at.After(r.w.now) && !r.active[i] {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b item) int {
		return cmpString(fmt.Sprint(a.controller, a.request), fmt.Sprint(b.controller, b.request))
	})
	return list
}

// pass reconciles one item. A crash in it ends the process.
func (r *replica) pass(i item) {
	w, c := r.w, r.manager.Controllers[i.controller]
	delete(r.due, i)
	r.active[i] = true
	life := r.life
	result, err := reconcile.Result{}, error(nil)
	if r.guarded(func() { result, err = c.Reconciler.Reconcile(context.Background(), i.request) }) || r.life != life {
		return
	}
	delete(r.active, i)
	switch {
	case err != nil:
		w.say("  error: %v", err)
		delay := min(5*time.Millisecond<<min(r.failures[i], 20), 1000*time.Second)
		r.failures[i]++
		r.enqueue(i, w.now.Add(delay))
	case result.RequeueAfter > 0:
		delete(r.failures, i)
		r.enqueue(i, w.now.Add(result.RequeueAfter))
	default:
		delete(r.failures, i)
	}
}

var errCrash = errors.New("the manager dies here")

// guarded runs the manager's code and tells whether it died in it.
func (r *replica) guarded(do func()) (died bool) {
	w := r.w
	actor, depth := w.actor, w.depth
	defer func() {
		w.actor, w.depth = actor, depth
		if p := recover(); p != nil {
			if p != any(errCrash) {
				panic(p)
			}
			died = true
		}
	}()
	w.oracle.began = append(w.oracle.began, len(w.oracle.wishes))
	defer func() { w.oracle.began = w.oracle.began[:len(w.oracle.began)-1] }()
	do()
	return false
}

// managerActions are what the replicas can do, and what can happen to them.
func (w *world) managerActions() []action {
	var list []action
	for _, r := range w.replicas {
		if !r.leading {
			continue
		}
		for _, kind := range r.kinds() {
			if r.cache.behind(kind) > 0 && r.stalled != kind {
				list = append(list, action{r.name, "hears of a " + kind.Elem().Name(), 7, func() { r.hear(kind) }})
			}
		}
		for _, i := range r.ready() {
			list = append(
				list,
				action{r.name, r.manager.Controllers[i.controller].Name + " looks at " + i.request.Name, 10, func() { r.pass(i) }},
			)
		}
		if !w.now.Before(r.sweepAt) && w.depth == 0 {
			list = append(list, action{r.name, "sweeps", 1, func() {
				r.sweepAt = w.now.Add(r.manager.SweepEvery)
				r.guarded(func() { _ = r.manager.Sweep(context.Background()) })
			}})
		}
	}
	if w.settling {
		return list
	}
	for _, r := range w.replicas {
		if r.leading {
			list = append(list, r.stallActions()...)
		}
	}
	if w.depth == 0 {
		list = append(list, w.leaseActions()...)
	}
	return list
}

// stallActions: a watch may bring nothing for as long as an API server is slow.
func (r *replica) stallActions() []action {
	if r.stalled != nil {
		return []action{{r.name, "gets its " + r.stalled.Elem().Name() + "s again", 2, func() { r.stalled = nil }}}
	}
	return []action{{r.name, "gets nothing new of one kind", 1, func() { r.stalled = pick(r.w.choices, r.kinds()...) }}}
}

// leaseActions: a crash, and a lease that is lost before its holder knows.
func (w *world) leaseActions() []action {
	var list []action
	leader, other := w.replicas[0], w.replicas[1]
	if !leader.leading || leader.zombie {
		leader, other = other, leader
	}
	if leader.leading && !leader.zombie {
		list = append(list, action{leader.name, "is killed and starts again", 1, func() {
			w.oracle.seen.Crashes++
			leader.stop()
			leader.lead()
		}})
		if !other.leading {
			list = append(list, action{leader.name, "loses its lease to " + other.name, 1, func() {
				w.oracle.seen.Takeovers++
				leader.zombie = true
				other.lead()
			}})
		}
	}
	for _, r := range w.replicas {
		if r.leading && r.zombie {
			list = append(list, action{r.name, "learns that its lease is lost", 3, r.stop})
		}
	}
	return list
}
