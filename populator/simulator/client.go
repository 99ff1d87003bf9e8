// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// gate stands before every request of a manager. It may end it, let others act first, or
// have its answer lost.
type gate interface {
	before(write bool, verb string, o any) error
	after(verb string, o any) error
}

// api is a client.Client. It reads from a source, which is a cache or the server itself,
// and writes to the server.
type api struct {
	server *server
	gate   gate
	source source
}

// source finds the objects of a kind that a reader sees.
type source interface {
	objects(kind reflect.Type) map[types.NamespacedName]client.Object
	indexed(kind reflect.Type, field string) (client.IndexerFunc, bool)
}

var _ client.Client = &api{}

func (a *api) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if err := a.gate.before(false, "get", into); err != nil {
		return err
	}
	found := a.source.objects(kindOf(into))[key]
	if found == nil {
		return apierrors.NewNotFound(resource(into), key.Name)
	}
	assign(into, found)
	return nil
}

func (a *api) List(_ context.Context, into client.ObjectList, options ...client.ListOption) error {
	if err := a.gate.before(false, "list", into); err != nil {
		return err
	}
	var o client.ListOptions
	o.ApplyOptions(options)
	items := reflect.ValueOf(into).Elem().FieldByName("Items")
	kind := reflect.PointerTo(items.Type().Elem())
	match, err := a.matcher(kind, o)
	if err != nil {
		return err
	}
	result := reflect.MakeSlice(items.Type(), 0, 0)
	for _, found := range sorted[client.Object](a.source.objects(kind)) {
		if o.Namespace != "" && found.GetNamespace() != o.Namespace || !match(found) {
			continue
		}
		result = reflect.Append(result, reflect.ValueOf(found.DeepCopyObject()).Elem())
		if o.Limit > 0 && int64(result.Len()) == o.Limit {
			break
		}
	}
	items.Set(result)
	return nil
}

func (a *api) matcher(kind reflect.Type, o client.ListOptions) (func(client.Object) bool, error) {
	checks := []func(client.Object) bool{}
	if o.LabelSelector != nil {
		checks = append(checks, func(x client.Object) bool { return o.LabelSelector.Matches(labelsOf(x)) })
	}
	if o.FieldSelector != nil {
		for _, r := range o.FieldSelector.Requirements() {
			values, ok := a.source.indexed(kind, r.Field)
			if !ok {
				return nil, fmt.Errorf("field label not supported: %s of %s", r.Field, kind)
			}
			checks = append(checks, func(x client.Object) bool {
				return slices.Contains(values(x), r.Value)
			})
		}
	}
	return func(x client.Object) bool {
		for _, check := range checks {
			if !check(x) {
				return false
			}
		}
		return true
	}, nil
}

// write makes one request that changes something.
func (a *api) write(verb string, o client.Object, do func() error) error {
	if err := a.gate.before(true, verb, o); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return a.gate.after(verb, o)
}

func (a *api) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	return a.write("create", o, func() error { return a.server.create(o) })
}

func (a *api) Delete(_ context.Context, o client.Object, options ...client.DeleteOption) error {
	var d client.DeleteOptions
	d.ApplyOptions(options)
	return a.write("delete", o, func() error { return a.server.delete(o, d) })
}

func (a *api) Patch(_ context.Context, o client.Object, p client.Patch, _ ...client.PatchOption) error {
	return a.write("patch", o, func() error { return a.server.patch(o, p, false) })
}

func (a *api) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	return a.write("update", o, func() error { return a.put(o, false) })
}

func (a *api) put(o client.Object, status bool) error {
	current := a.server.get(kindOf(o), client.ObjectKeyFromObject(o))
	if current == nil {
		return apierrors.NewNotFound(resource(o), o.GetName())
	}
	if err := a.server.update(current, o.DeepCopyObject().(client.Object), status); err != nil {
		return err
	}
	if stored := a.server.get(kindOf(o), client.ObjectKeyFromObject(o)); stored != nil {
		assign(o, stored)
	}
	return nil
}

func (a *api) Status() client.SubResourceWriter { return statusClient{a} }

func (a *api) SubResource(string) client.SubResourceClient { return statusClient{a} }

// The rest of client.Client is not for what a manager of volumes does.

func (a *api) DeleteAllOf(context.Context, client.Object, ...client.DeleteAllOfOption) error {
	return errUnsupported
}

func (a *api) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	return errUnsupported
}

func (a *api) Scheme() *runtime.Scheme { return a.server.scheme }

func (a *api) RESTMapper() meta.RESTMapper { return meta.NewDefaultRESTMapper(nil) }

func (a *api) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(o, a.server.scheme) //nolint:wrapcheck // Its caller knows what it asked for.
}

func (a *api) IsObjectNamespaced(o runtime.Object) (bool, error) {
	_, cluster := o.(*corev1.PersistentVolume)
	return !cluster, nil
}

// statusClient writes only the status of an object.
type statusClient struct{ *api }

func (c statusClient) Get(context.Context, client.Object, client.Object, ...client.SubResourceGetOption) error {
	return errUnsupported
}

func (c statusClient) Create(context.Context, client.Object, client.Object, ...client.SubResourceCreateOption) error {
	return errUnsupported
}

func (c statusClient) Apply(context.Context, runtime.ApplyConfiguration, ...client.SubResourceApplyOption) error {
	return errUnsupported
}

func (c statusClient) Update(_ context.Context, o client.Object, _ ...client.SubResourceUpdateOption) error {
	return c.write("update status", o, func() error { return c.put(o, true) })
}

func (c statusClient) Patch(
	_ context.Context,
	o client.Object,
	p client.Patch,
	_ ...client.SubResourcePatchOption,
) error {
	return c.write("patch status", o, func() error { return c.server.patch(o, p, true) })
}

var errUnsupported = fmt.Errorf("the simulator's API server does not do that")

// liveSource is the server itself. Of fields it knows those that the real one does.
type liveSource struct{ server *server }

func (l liveSource) objects(kind reflect.Type) map[types.NamespacedName]client.Object {
	return l.server.table(kind).objects
}

func (l liveSource) indexed(kind reflect.Type, field string) (client.IndexerFunc, bool) {
	if kind != reflect.TypeFor[*corev1.Event]() {
		return nil, false
	}
	return func(o client.Object) []string {
		e := o.(*corev1.Event)
		return []string{map[string]string{
			"involvedObject.uid": string(e.InvolvedObject.UID), "involvedObject.name": e.InvolvedObject.Name,
			"involvedObject.kind": e.InvolvedObject.Kind, "type": e.Type, "reason": e.Reason,
		}[field]}
	}, strings.HasPrefix(field, "involvedObject.") || field == "type" || field == "reason"
}
