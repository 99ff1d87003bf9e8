// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/protocol"
)

// simulator plays the rest of a cluster (provisioner, PV controller, scheduler, kubelet,
// garbage collector) around the reconciler on an in-memory API server, so that the
// manager can be struck at every single write. The real cluster is played by e2e.
type simulator struct {
	t      *testing.T
	api    client.WithWatch // What the cluster's own parts use.
	ours   client.WithWatch // What the reconciler uses: counted and struck.
	now    time.Time
	writes int
	// strike happens after write number strikeAt; it returns the error that the write reports.
	strikeAt int
	strike   func() error
	policy   corev1.PersistentVolumeReclaimPolicy
	// reports are what successive movers end with; the last one repeats.
	reports []wire.Report
	movers  int
	uids    int
	// filled is the prefix that the last mover of a prime was asked for and has ended well with.
	filled map[string]string
	// largest is what the largest prime asked for, in bytes.
	largest int64
	// full is a provisioner that has no room.
	full bool
}

var (
	errCrash = errors.New("the manager dies here")
	errLost  = apierrors.NewTimeoutError("the answer was lost", 1)
	claimKey = types.NamespacedName{Namespace: "team", Name: "data"}
)

func newSimulator(t *testing.T, changes ...change) *simulator {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	s := world(changes...)
	s.Claim.ResourceVersion = ""
	s.Source.ResourceVersion = ""
	// The plain tracker: bookkeeping of field owners would take most of the test's time.
	tracker := clienttesting.NewObjectTracker(scheme, serializer.NewCodecFactory(scheme).UniversalDecoder())
	b := fake.NewClientBuilder().WithScheme(scheme).WithObjectTracker(tracker).
		WithStatusSubresource(
			&corev1.PersistentVolumeClaim{},
			&v1alpha1.S3Import{},
			&corev1.Pod{},
			&corev1.PersistentVolume{},
		).
		WithObjects(
			s.Claim,
			s.Source,
			s.Class,
			&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: s.Class.Provisioner}},
		).
		WithIndex(&corev1.PersistentVolume{}, indexClaimRefUID, func(o client.Object) []string {
			if ref := o.(*corev1.PersistentVolume).Spec.ClaimRef; ref != nil {
				return []string{string(ref.UID)}
			}
			return nil
		}).
		WithIndex(&storagev1.VolumeAttachment{}, indexAttachedVolume, func(o client.Object) []string {
			return []string{attachedVolume(o.(*storagev1.VolumeAttachment))}
		})
	sim := &simulator{
		t:       t,
		api:     b.Build(),
		now:     noon,
		policy:  corev1.PersistentVolumeReclaimDelete,
		reports: []wire.Report{doneReport},
	}
	sim.ours = interceptor.NewClient(sim.api, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			sim.uids++
			o.SetUID(types.UID(fmt.Sprintf("uid-%d", sim.uids)))
			o.SetCreationTimestamp(metav1.NewTime(sim.now))
			return sim.struck(c.Create(ctx, o, opts...))
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return sim.struck(c.Delete(ctx, o, opts...))
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption,
		) error {
			sim.guardVolume(ctx, o)
			return sim.struck(c.Patch(ctx, o, p, opts...))
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return sim.struck(c.SubResource(sub).Patch(ctx, o, p, opts...))
		},
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if _, ok := l.(*corev1.EventList); ok {
				return nil // No part of this cluster writes events.
			}
			return c.List(ctx, l, opts...)
		},
	})
	return sim
}

// struck counts a write that was done, and strikes when its number is up.
func (sim *simulator) struck(err error) error {
	if err != nil {
		return err
	}
	sim.writes++
	if sim.strike != nil && sim.writes == sim.strikeAt {
		return sim.strike()
	}
	return nil
}

// guardVolume is invariant (iii): we write only to volumes of the prime or of the claim.
func (sim *simulator) guardVolume(ctx context.Context, o client.Object) {
	v, ok := o.(*corev1.PersistentVolume)
	if !ok {
		return
	}
	live := &corev1.PersistentVolume{}
	if sim.api.Get(ctx, client.ObjectKeyFromObject(v), live) != nil || live.Spec.ClaimRef == nil {
		return
	}
	if !strings.HasPrefix(live.Spec.ClaimRef.Name, protocol.PrimePrefix) && live.Spec.ClaimRef.Name != claimKey.Name {
		sim.t.Errorf("wrote to volume %s of %s", v.Name, live.Spec.ClaimRef.Name)
	}
}

// reconcile runs one pass with a reconciler that remembers nothing, as after a restart.
func (sim *simulator) reconcile() (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p != any(errCrash) {
				panic(p)
			}
			err = errCrash
		}
	}()
	o := testOptions()
	o.Now = func() time.Time { return sim.now }
	r := &Reconciler{Client: sim.ours, Live: sim.ours, Events: events.NewFakeRecorder(1000), Options: o}
	_, err = r.Reconcile(sim.t.Context(), ctrl.Request{NamespacedName: claimKey})
	return err
}

// converge lets everything play until nothing writes any more, checking invariants after
// every step. Time passes when nothing else does.
func (sim *simulator) converge() {
	sim.t.Helper()
	quiet := 0
	for step := 0; quiet < 6; step++ {
		if step > 400 {
			sim.t.Fatal("does not converge")
		}
		before := sim.writes
		if err := sim.reconcile(); err != nil && !errors.Is(err, errCrash) && !apierrors.IsTimeout(err) {
			sim.t.Fatalf("step %d: %v", step, err)
		}
		sim.invariants()
		moved := sim.play()
		sim.invariants()
		quiet++
		if sim.writes != before || moved {
			quiet = 0
		}
		sim.now = sim.now.Add(time.Duration(quiet) * 8 * time.Second)
	}
}

// play lets each part of the cluster take one step and tells whether any did.
func (sim *simulator) play() bool {
	moved := false
	for _, part := range []func() bool{
		sim.capture, sim.provision, sim.bind, sim.runConsumers, sim.runMovers, sim.collect,
	} {
		moved = part() || moved
	}
	return moved
}

func (sim *simulator) claims() []corev1.PersistentVolumeClaim {
	var l corev1.PersistentVolumeClaimList
	sim.must(sim.api.List(sim.t.Context(), &l))
	return l.Items
}

func (sim *simulator) volumes() []corev1.PersistentVolume {
	var l corev1.PersistentVolumeList
	sim.must(sim.api.List(sim.t.Context(), &l))
	return l.Items
}

func (sim *simulator) pods() []corev1.Pod {
	var l corev1.PodList
	sim.must(sim.api.List(sim.t.Context(), &l))
	return l.Items
}

func (sim *simulator) must(err error) {
	sim.t.Helper()
	if err != nil {
		sim.t.Fatal(err)
	}
}

// provision makes a volume for each unbound claim that names no source.
func (sim *simulator) provision() bool {
	for _, c := range sim.claims() {
		if c.Spec.DataSourceRef != nil || c.Spec.VolumeName != "" || sim.full || !sim.placed(&c) || sim.given(&c) {
			continue
		}
		v := volume("pv-"+string(c.UID), &c)
		v.Spec.Capacity = c.Spec.Resources.Requests
		sim.largest = max(sim.largest, v.Spec.Capacity.Storage().Value())
		v.ResourceVersion = ""
		v.Spec.PersistentVolumeReclaimPolicy = sim.policy
		v.Spec.AccessModes = c.Spec.AccessModes
		sim.must(sim.api.Create(sim.t.Context(), v))
		c.Spec.VolumeName = v.Name
		sim.complete(&c)
		return true
	}
	return false
}

func (sim *simulator) complete(c *corev1.PersistentVolumeClaim) {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[v1alpha1.AnnotationBindCompleted] = "yes"
	sim.must(sim.api.Update(sim.t.Context(), c))
	c.Status.Phase = corev1.ClaimBound
	sim.must(sim.api.Status().Update(sim.t.Context(), c))
}

// bind is the PV controller: a volume that names a claim's UID is bound to it, in two
// writes; a claim whose volume names another is lost.
func (sim *simulator) bind() bool {
	for _, v := range sim.volumes() {
		if v.Spec.ClaimRef == nil {
			continue
		}
		for _, c := range sim.claims() {
			switch {
			case c.UID == v.Spec.ClaimRef.UID && c.Spec.VolumeName == "":
				c.Spec.VolumeName = v.Name
				sim.must(sim.api.Update(sim.t.Context(), &c))
				return true
			case c.UID == v.Spec.ClaimRef.UID && c.Annotations[v1alpha1.AnnotationBindCompleted] == "":
				sim.complete(&c)
				return true
			case c.Spec.VolumeName == v.Name && c.UID != v.Spec.ClaimRef.UID && c.Status.Phase != corev1.ClaimLost:
				c.Status.Phase = corev1.ClaimLost
				sim.must(sim.api.Status().Update(sim.t.Context(), &c))
				return true
			}
		}
	}
	return false
}

// runMovers starts and ends one mover. Filling a volume that is the user's already would
// be the worst of all faults.
func (sim *simulator) runMovers() bool {
	for _, p := range sim.pods() {
		if p.Spec.Containers[0].Name != moverpod.ContainerName {
			continue
		}
		switch p.Status.Phase {
		case "":
			p.Status.Phase = corev1.PodRunning
			p.Status.StartTime = new(metav1.NewTime(sim.now))
		case corev1.PodRunning:
			sim.checkVolumeIsScratch(&p)
			sim.endMover(&p)
		default:
			continue
		}
		sim.must(sim.api.Status().Update(sim.t.Context(), &p))
		return true
	}
	return false
}

func (sim *simulator) endMover(p *corev1.Pod) {
	r := sim.reports[min(sim.movers, len(sim.reports)-1)]
	sim.movers++
	p.Status.Phase = corev1.PodSucceeded
	if r.Class == wire.Done {
		sim.remember(p)
	}
	if r.Class != wire.Done {
		p.Status.Phase = corev1.PodFailed
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: moverpod.ContainerName, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: int32(r.Class.ExitCode()), Message: string(r.Encode())},
	}}}
}

// checkVolumeIsScratch: a mover empties and fills its volume, so it must have one, and that
// must be known as ours.
func (sim *simulator) checkVolumeIsScratch(p *corev1.Pod) {
	for _, c := range sim.claims() {
		for _, v := range sim.volumes() {
			if c.Name != p.Spec.Volumes[1].PersistentVolumeClaim.ClaimName || c.Spec.VolumeName != v.Name {
				continue
			}
			if v.Annotations[v1alpha1.AnnotationPopulatedFor] != "" {
				sim.t.Errorf("a mover runs on volume %s, which is the user's", v.Name)
			}
			keptAsFound := v.Annotations[v1alpha1.AnnotationReclaimPolicy] != "" &&
				v.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
			if v.Annotations[v1alpha1.AnnotationScratchFor] == "" && !keptAsFound ||
				v.Annotations[v1alpha1.AnnotationBoundByController] != "" {
				sim.t.Errorf("a mover runs on volume %s, which was not made for it: %v", v.Name, v.Annotations)
			}
		}
	}
}
