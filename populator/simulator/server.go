// SPDX-License-Identifier: Apache-2.0

// Package simulator plays a cluster in memory, faster than any real one and with every
// choice taken from a seed: an API server, the parts of Kubernetes that a volume meets,
// nodes with processes and data on volumes, people who interfere, and replicas of a manager
// whose caches lag. After every step it judges promises that it knows from the documentation
// alone: it links nothing that decides, so that it cannot share a mistake with what it judges.
//
// It is for tests. The subject, a manager, is handed in as a Build.
package simulator

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// The finalizers that the API server's admission adds.
const (
	finalizerClaim  = "kubernetes.io/pvc-protection"
	finalizerVolume = "kubernetes.io/pv-protection"
)

// change is one entry of a kind's history; a nil before is a creation, a nil after a removal.
type change struct{ before, after client.Object }

// table holds the objects of one kind. What it holds is never changed, only replaced, so
// that histories and caches may share it.
type table struct {
	objects map[types.NamespacedName]client.Object
	history []change
}

// server is an API server: optimistic concurrency, preconditions, finalizers, deletion with
// grace, status as a subresource. It has no admission but what it does for the kinds above.
type server struct {
	scheme *runtime.Scheme
	now    time.Time
	tables map[reflect.Type]*table
	// version is the last resourceVersion given, uids the last UID.
	version, uids int
	// actor is who writes, for the trace and for the promises.
	actor string
	// changed hears of every change.
	changed func(change)
}

func newServer(scheme *runtime.Scheme, start time.Time) *server {
	return &server{scheme: scheme, now: start, tables: map[reflect.Type]*table{}, changed: func(change) {}}
}

func (s *server) table(kind reflect.Type) *table {
	t := s.tables[kind]
	if t == nil {
		t = &table{objects: map[types.NamespacedName]client.Object{}}
		s.tables[kind] = t
	}
	return t
}

func kindOf(o client.Object) reflect.Type { return reflect.TypeOf(o) }

// resource names a kind in errors.
func resource(o client.Object) schema.GroupResource {
	return schema.GroupResource{Resource: strings.ToLower(reflect.TypeOf(o).Elem().Name())}
}

// get returns what is stored, not a copy.
func (s *server) get(kind reflect.Type, key types.NamespacedName) client.Object {
	return s.table(kind).objects[key]
}

// all returns what is stored of a kind in the order of its keys.
func all[T client.Object](s *server) []T {
	return sorted[T](s.table(reflect.TypeFor[T]()).objects)
}

func sorted[T client.Object](objects map[types.NamespacedName]client.Object) []T {
	list := make([]T, 0, len(objects))
	for _, o := range objects {
		list = append(list, o.(T))
	}
	slices.SortFunc(list, func(a, b T) int {
		if c := strings.Compare(a.GetName(), b.GetName()); c != 0 {
			return c
		}
		return strings.Compare(a.GetNamespace(), b.GetNamespace())
	})
	return list
}

// one returns an object or nil.
func one[T client.Object](s *server, namespace, name string) (found T, ok bool) {
	o := s.get(reflect.TypeFor[T](), types.NamespacedName{Namespace: namespace, Name: name})
	if o == nil {
		return found, false
	}
	return o.(T), true
}

// edit stores a changed copy, whatever anybody else may think: the cluster's own parts act
// between the steps of others, never at the same time.
func edit[T client.Object](s *server, o T, f func(T)) {
	current := s.get(kindOf(o), client.ObjectKeyFromObject(o))
	if current == nil {
		return
	}
	next := current.DeepCopyObject().(T)
	f(next)
	s.replace(current, next)
}

func (s *server) create(o client.Object) error {
	key := client.ObjectKeyFromObject(o)
	t := s.table(kindOf(o))
	if t.objects[key] != nil {
		return apierrors.NewAlreadyExists(resource(o), key.Name)
	}
	if s.leaving(o.GetNamespace()) {
		return terminating(o)
	}
	if o.GetResourceVersion() != "" {
		return apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}
	stored := o.DeepCopyObject().(client.Object)
	s.uids++
	stored.SetUID(types.UID(fmt.Sprintf("%08x-uid", s.uids)))
	stored.SetCreationTimestamp(metav1.NewTime(s.now.Truncate(time.Second)))
	stored.SetDeletionTimestamp(nil)
	stored.SetGeneration(1)
	admit(stored)
	s.bump(stored)
	t.objects[key] = stored
	s.record(t, change{after: stored})
	assign(o, stored)
	return nil
}

// leaving tells that a namespace is being deleted: nothing can be made in it. A namespace without an
// object is there.
func (s *server) leaving(namespace string) bool {
	n, ok := one[*corev1.Namespace](s, "", namespace)
	return ok && n.DeletionTimestamp != nil
}

func terminating(o client.Object) error {
	err := apierrors.NewForbidden(resource(o), o.GetName(), fmt.Errorf("the namespace is being terminated"))
	err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
	return err
}

// admit does what the admission plugins and the defaults of the kinds do.
func admit(o client.Object) {
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		o.Finalizers = append(o.Finalizers, finalizerClaim)
		o.Status = corev1.PersistentVolumeClaimStatus{Phase: corev1.ClaimPending}
	case *corev1.PersistentVolume:
		o.Finalizers = append(o.Finalizers, finalizerVolume)
		o.Status.Phase = corev1.VolumePending
	case *corev1.Pod:
		o.Status = corev1.PodStatus{Phase: corev1.PodPending}
	case *v1alpha1.S3Import:
		o.Status = v1alpha1.S3ImportStatus{}
	}
}

func (s *server) bump(o client.Object) {
	s.version++
	o.SetResourceVersion(strconv.Itoa(s.version))
}

func (s *server) record(t *table, c change) {
	t.history = append(t.history, c)
	s.changed(c)
}

// replace stores the next version of an object; the same content is no change. An object
// that is being deleted is gone with its last finalizer.
func (s *server) replace(current, next client.Object) {
	next.SetResourceVersion(current.GetResourceVersion())
	if reflect.DeepEqual(current, next) {
		return
	}
	if newGeneration(current, next) {
		next.SetGeneration(current.GetGeneration() + 1)
	}
	_, pod := next.(*corev1.Pod)
	if next.GetDeletionTimestamp() != nil && len(next.GetFinalizers()) == 0 && !pod {
		s.remove(current)
		return
	}
	s.bump(next)
	t := s.table(kindOf(next))
	t.objects[client.ObjectKeyFromObject(next)] = next
	s.record(t, change{before: current, after: next})
}

// newGeneration is so only for our own kinds; nobody reads that of others.
func newGeneration(current, next client.Object) bool {
	a, ok := current.(*v1alpha1.S3Source)
	return ok && !reflect.DeepEqual(a.Spec, next.(*v1alpha1.S3Source).Spec)
}

// remove takes an object out of the store at once.
func (s *server) remove(o client.Object) {
	t := s.table(kindOf(o))
	key := client.ObjectKeyFromObject(o)
	current := t.objects[key]
	if current == nil {
		return
	}
	delete(t.objects, key)
	s.version++
	s.record(t, change{before: current})
}

// delete follows the preconditions and begins a deletion: at once, or when the last
// finalizer is gone, or, for a pod that has a node, when its kubelet says so.
func (s *server) delete(o client.Object, options client.DeleteOptions) error {
	key := client.ObjectKeyFromObject(o)
	current := s.get(kindOf(o), key)
	if current == nil {
		return apierrors.NewNotFound(resource(o), key.Name)
	}
	if p := options.Preconditions; p != nil {
		if p.UID != nil && *p.UID != current.GetUID() ||
			p.ResourceVersion != nil && *p.ResourceVersion != current.GetResourceVersion() {
			return apierrors.NewConflict(resource(o), key.Name, fmt.Errorf("the precondition does not hold"))
		}
	}
	if len(current.GetFinalizers()) == 0 && !waitsForKubelet(current, options) {
		s.remove(current)
		return nil
	}
	if current.GetDeletionTimestamp() == nil {
		next := current.DeepCopyObject().(client.Object)
		next.SetDeletionTimestamp(&metav1.Time{Time: s.now.Add(grace(current, options)).Truncate(time.Second)})
		s.replace(current, next)
	}
	return nil
}

func waitsForKubelet(o client.Object, options client.DeleteOptions) bool {
	pod, ok := o.(*corev1.Pod)
	if !ok || pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return false
	}
	return options.GracePeriodSeconds == nil || *options.GracePeriodSeconds != 0
}

// assign gives the caller a copy of what is stored.
func assign(into, stored client.Object) {
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(stored.DeepCopyObject()).Elem())
}

// grace: the deletion timestamp of a pod is the end of its grace period.
func grace(o client.Object, options client.DeleteOptions) time.Duration {
	if _, ok := o.(*corev1.Pod); !ok {
		return 0
	}
	if options.GracePeriodSeconds != nil {
		return time.Duration(*options.GracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}
