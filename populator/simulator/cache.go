// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"maps"
	"reflect"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Transform is what a manager's cache keeps of an object; nil keeps nothing of it.
type Transform func(client.Object) client.Object

// informer is a manager's view of one kind. It follows the history in order, as late as
// the seed wants it, and independently of every other kind.
type informer struct {
	seen    int
	objects map[types.NamespacedName]client.Object
}

// lagging is a manager's cache.
type lagging struct {
	server    *server
	transform Transform
	informers map[reflect.Type]*informer
	indexes   map[reflect.Type]map[string]client.IndexerFunc
}

func newCache(s *server, transform Transform) *lagging {
	return &lagging{
		server:    s,
		transform: transform,
		informers: map[reflect.Type]*informer{},
		indexes:   map[reflect.Type]map[string]client.IndexerFunc{},
	}
}

// IndexField registers an index, as the field indexer of a manager.
func (l *lagging) IndexField(_ context.Context, o client.Object, name string, values client.IndexerFunc) error {
	kind := kindOf(o)
	if l.indexes[kind] == nil {
		l.indexes[kind] = map[string]client.IndexerFunc{}
	}
	l.indexes[kind][name] = values
	return nil
}

func (l *lagging) indexed(kind reflect.Type, field string) (client.IndexerFunc, bool) {
	f, ok := l.indexes[kind][field]
	return f, ok
}

func (l *lagging) objects(kind reflect.Type) map[types.NamespacedName]client.Object {
	return l.informer(kind).objects
}

// informer of a kind; the first use lists it, without any lag.
func (l *lagging) informer(kind reflect.Type) *informer {
	i := l.informers[kind]
	if i == nil {
		i = &informer{seen: len(l.server.table(kind).history), objects: map[types.NamespacedName]client.Object{}}
		for key, o := range l.server.table(kind).objects {
			if kept := l.transform(o); kept != nil {
				i.objects[key] = kept
			}
		}
		l.informers[kind] = i
	}
	return i
}

// behind tells by how many changes a kind lags.
func (l *lagging) behind(kind reflect.Type) int {
	return len(l.server.table(kind).history) - l.informer(kind).seen
}

// advance takes the next change of a kind in and returns what handlers are told.
func (l *lagging) advance(kind reflect.Type) change {
	i := l.informer(kind)
	c := l.server.table(kind).history[i.seen]
	i.seen++
	subject := c.after
	if subject == nil {
		subject = c.before
	}
	key := client.ObjectKeyFromObject(subject)
	seen := change{before: i.objects[key]}
	if c.after != nil {
		seen.after = l.transform(c.after)
	}
	if seen.after == nil {
		delete(i.objects, key)
	} else {
		i.objects[key] = seen.after
	}
	return seen
}

// snapshot is what is known of a kind.
func (l *lagging) snapshot(kind reflect.Type) map[types.NamespacedName]client.Object {
	return maps.Clone(l.informer(kind).objects)
}

func labelsOf(o client.Object) labels.Set { return o.GetLabels() }
