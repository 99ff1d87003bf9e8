// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Observer watches everything that a story is about, wakes those who wait for it,
// and holds every change against the invariants.
type Observer struct {
	cache      cache.Cache
	invariants *invariants
	onPod      func(podEvent)

	mu      sync.Mutex
	changed chan struct{} // closed at the next change
	imports map[string][]v1alpha1.S3ImportStatus
	results map[string]string      // by the claim's UID: the prime's record of the mover's report
	movers  map[string]*corev1.Pod // ours, by namespace/name, as last seen, also those that are gone

	told      map[types.UID]told // events of the manager
	active    map[string]bool    // namespaces in which something of ours was seen
	subjects  subjects
	auditRead int64               // how many bytes of the audit log are judged
	doubtful  []Request           // writes that are wrong, as far as is known
	primes    []string            // that the manager made, by namespace/name
	secrets   func() []secret     // nil where none are searched for
	revealed  map[string][]string // by namespace
}

// podEvent is a pod as it was last seen, and whether it is gone.
type podEvent struct {
	pod  *corev1.Pod
	gone bool
}

func newObserver(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) (*Observer, error) {
	c, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make the cache: %w", err)
	}
	o := &Observer{
		cache:      c,
		invariants: newInvariants(),
		changed:    make(chan struct{}),
		imports:    map[string][]v1alpha1.S3ImportStatus{},
		results:    map[string]string{},
		movers:     map[string]*corev1.Pod{},
		onPod:      func(podEvent) {},
		told:       map[types.UID]told{},
		active:     map[string]bool{},
		subjects:   subjects{},
		revealed:   map[string][]string{},
	}
	for _, kind := range []client.Object{
		&corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}, &corev1.Pod{}, &corev1.Event{}, &corev1.ConfigMap{},
		&v1alpha1.S3Source{}, &v1alpha1.S3Import{}, &v1alpha1.S3Export{}, &v1alpha1.S3ExportPolicy{},
	} {
		// Not blocking: the cache is started after all handlers are there.
		informer, err := c.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(o); err != nil {
			return nil, fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	return o, nil
}

func (o *Observer) start(ctx context.Context) error {
	go func() { _ = o.cache.Start(ctx) }() // fails only when it is started twice
	return nil
}

// OnAdd takes an object that is new to us.
func (o *Observer) OnAdd(obj any, _ bool) { o.note(obj, false) }

// OnUpdate takes a change; another UID is a deletion that was not seen.
func (o *Observer) OnUpdate(old, obj any) {
	if old.(client.Object).GetUID() != obj.(client.Object).GetUID() {
		o.note(old, true)
	}
	o.note(obj, false)
}

// OnDelete takes the last state of an object.
func (o *Observer) OnDelete(obj any) {
	if unknown, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	o.note(obj, true)
}

func (o *Observer) note(obj any, gone bool) {
	seen := o.shown(obj.(client.Object))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.noteRevealed(obj.(client.Object), seen)
	o.subjects.note(obj.(client.Object))
	o.acted(obj)
	switch v := obj.(type) {
	case *corev1.PersistentVolumeClaim:
		o.invariants.claim(v, gone)
		if result := v.Annotations[v1alpha1.AnnotationResult]; result != "" {
			o.results[v.Labels[v1alpha1.LabelClaimUID]] = result
		}
	case *corev1.PersistentVolume:
		o.invariants.volume(v)
	case *corev1.Pod:
		o.invariants.pod(v, gone)
		if v.Labels[v1alpha1.LabelManagedBy] == v1alpha1.ManagedBy {
			o.movers[v.Namespace+"/"+v.Name] = v
		}
		o.onPod(podEvent{v, gone})
	case *corev1.Event:
		o.hear(v)
	case *v1alpha1.S3Import:
		k := v.Namespace + "/" + v.Spec.ClaimName
		o.imports[k] = append(o.imports[k], *v.Status.DeepCopy())
	}
	close(o.changed)
	o.changed = make(chan struct{})
}

// Changed returns a channel that closes at the next change of anything.
func (o *Observer) Changed() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.changed
}

// Imports is every status that the S3Import of a claim has had, in order.
func (o *Observer) Imports(namespace, claim string) []v1alpha1.S3ImportStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]v1alpha1.S3ImportStatus(nil), o.imports[namespace+"/"+claim]...)
}

// result is what the prime of a claim remembered of its mover, also when it is gone.
func (o *Observer) result(claim types.UID) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.results[string(claim)]
}

// mover is a pod of ours as it was last seen, nil for none. A quick one is gone before anybody looks.
func (o *Observer) mover(namespace, name string) *corev1.Pod {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.movers[namespace+"/"+name].DeepCopy()
}

// volumesOf are the names of all volumes that claims of a namespace have or had.
func (o *Observer) volumesOf(namespace string) map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]bool{}
	for name, v := range o.invariants.volumes {
		all[name] = v.namespace == namespace
	}
	return all
}

func (o *Observer) waive(claim string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.invariants.waived[claim] = true
}

// seen reads an object as it was last seen; false when there is none.
func seen[T client.Object](o *Observer, namespace, name string, into T) bool {
	err := o.cache.Get(context.Background(), client.ObjectKey{Namespace: namespace, Name: name}, into)
	if err == nil {
		return true
	}
	if apierrors.IsNotFound(err) {
		return false
	}
	panic(
		fmt.Sprintf("read %s/%s from the watch: %v", namespace, name, err),
	) // only before start or for a kind not watched
}

// errNever ends a wait at once: what is waited for cannot come any more.
var errNever = errors.New("will not happen")

// glance is how often a condition is looked at without having been woken, for what
// the watches do not show: a CSI driver's volumes, a Deployment.
const glance = 250 * time.Millisecond

// await looks at every change until the condition holds. Its error tells how things
// stood at the end.
func await(ctx context.Context, changed func() <-chan struct{}, condition func() error) error {
	tick := time.NewTicker(glance)
	defer tick.Stop()
	for {
		wake := changed()
		err := condition()
		if err == nil || errors.Is(err, errNever) {
			return err
		}
		select {
		case <-wake:
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w; at the end: %w", context.Cause(ctx), err)
		}
	}
}
