// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// kind of an export that reads a volume of its own; late is one of a class that waits for a pod.
type kind struct {
	consistency v1alpha1.Consistency
	late        bool
}

// newTemporaryBench is for such an export.
func newTemporaryBench(t *testing.T, of kind, report wire.Report, killAt int, after bool) *bench {
	t.Helper()
	b := newBench(t, report, killAt, after)
	e := b.export()
	e.Spec.Consistency = of.consistency
	claim := b.claim("data")
	claim.Spec.StorageClassName, claim.Spec.VolumeName = new("fast"), "pv-data"
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-data"}}
	volume.Spec.CSI = &corev1.CSIPersistentVolumeSource{Driver: "csi.test"}
	mode := storagev1.VolumeBindingImmediate
	if of.late {
		mode = storagev1.VolumeBindingWaitForFirstConsumer
	}
	class := &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: "fast"}, Provisioner: "csi.test", VolumeBindingMode: &mode,
	}
	snapshots := &unstructured.Unstructured{Object: map[string]any{"driver": "csi.test", "deletionPolicy": "Delete"}}
	snapshots.SetGroupVersionKind(classKind)
	snapshots.SetName("snaps")
	snapshots.SetAnnotations(map[string]string{defaultClass: "true"})
	ctx := t.Context()
	status := claim.Status
	err := errors.Join(b.client.Update(ctx, e), b.client.Update(ctx, claim), b.client.Create(ctx, volume),
		b.client.Create(ctx, class), b.client.Create(ctx, snapshots))
	claim.Status = status
	if err := errors.Join(err, b.client.Status().Update(ctx, claim)); err != nil {
		t.Fatal(err)
	}
	return b
}

// claim is nil when it is gone.
func (b *bench) claim(name string) *corev1.PersistentVolumeClaim {
	b.t.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: "team", Name: name}, claim)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return claim
}

func (b *bench) snapshots() []unstructured.Unstructured {
	b.t.Helper()
	all := &unstructured.UnstructuredList{}
	all.SetGroupVersionKind(snapshotKind)
	if err := b.client.List(b.t.Context(), all); err != nil {
		b.t.Fatal(err)
	}
	return all.Items
}

// storage is the snapshot-controller, the provisioner and the PV controller, who answer one pass later.
func (b *bench) storage() {
	b.t.Helper()
	for _, s := range b.snapshots() {
		s.Object["status"] = map[string]any{"readyToUse": true, "restoreSize": "2Gi"}
		if err := b.client.Update(b.t.Context(), &s); err != nil {
			b.t.Fatal(err)
		}
	}
	claim := b.claim(protocol.TemporaryName("e-1"))
	if claim == nil || claim.Spec.VolumeName != "" || b.waitsForPod(claim) {
		return
	}
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{
		Name: fmt.Sprintf("pv-%s", claim.UID), Annotations: map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.test"},
	}}
	volume.Spec.ClaimRef = &corev1.ObjectReference{UID: claim.UID}
	claim.Spec.VolumeName = volume.Name
	err := errors.Join(b.client.Create(b.t.Context(), volume), b.client.Update(b.t.Context(), claim))
	claim.Status.Phase = corev1.ClaimBound
	if err := errors.Join(err, b.client.Status().Update(b.t.Context(), claim)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) waitsForPod(claim *corev1.PersistentVolumeClaim) bool {
	b.t.Helper()
	class := &storagev1.StorageClass{}
	err := b.client.Get(b.t.Context(), types.NamespacedName{Name: *claim.Spec.StorageClassName}, class)
	if err != nil {
		b.t.Fatal(err)
	}
	var pods corev1.PodList
	err = b.client.List(b.t.Context(), &pods, client.MatchingLabels{v1alpha1.LabelRole: v1alpha1.RoleConsumer})
	if err != nil {
		b.t.Fatal(err)
	}
	return *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer && len(pods.Items) == 0
}

// settleTemporary plays until five passes in a row write nothing.
func (b *bench) settleTemporary() {
	b.t.Helper()
	const most = 80
	for quiet, passes := 0, 0; quiet < 5; passes++ {
		before := b.writes
		b.step()
		b.storage()
		quiet++
		if b.writes != before {
			quiet = 0
		}
		if passes > most {
			b.t.Fatalf("there is no end of it: %+v", b.export())
		}
	}
}

// clean tells what is left of an export that reads a volume of its own.
func (b *bench) clean(pods int) error {
	b.t.Helper()
	switch {
	case len(b.snapshots()) > 0:
		return errors.New("a snapshot is left")
	case b.claim(protocol.TemporaryName("e-1")) != nil:
		return errors.New("a temporary claim is left")
	case b.pods() != pods:
		return fmt.Errorf("%d pods are left", b.pods())
	case b.open:
		return errors.New("an upload is open")
	}
	return nil
}

// kinds of exports that read a volume of their own.
var kinds = map[string]kind{
	"snapshot, late": {v1alpha1.ConsistencySnapshot, true},
	"clone":          {v1alpha1.ConsistencyClone, false},
}

// A manager that is killed before or after any of its writes is followed by one that brings the run to the same
// end, with one mover, and leaves neither a snapshot nor a temporary claim.
func TestTemporariesKilledAtEveryWrite(t *testing.T) {
	for name, of := range kinds {
		for report, test := range map[string]struct {
			report wire.Report
			phase  v1alpha1.ExportPhase
			pods   int
		}{
			"complete": {wire.Report{Class: wire.Done, Objects: 3}, v1alpha1.ExportSucceeded, 0},
			"failed":   {wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "no"}, v1alpha1.ExportFailed, 1},
		} {
			if report == "failed" && name != "snapshot, late" {
				continue // It makes no difference to what is made.
			}
			writes := 0
			for killAt := 0; killAt <= writes+1; killAt++ {
				for _, after := range []bool{false, true} {
					b := newTemporaryBench(t, of, test.report, killAt, after)
					b.settleTemporary()
					writes = max(writes, b.writes)
					e := b.export()
					if err := b.clean(test.pods); err != nil || e.Status.Phase != test.phase || protocol.Guarded(e) || b.movers != 1 {
						t.Errorf("%s, %s, killed at write %d (after it: %v): %v, %+v, finalizers %v, %d movers",
							name, report, killAt, after, err, e.Status, e.Finalizers, b.movers)
					}
				}
			}
			if writes < 10 {
				t.Errorf("%s: only %d writes", name, writes)
			}
		}
	}
}

// An export that is deleted, or suspended, at any moment of its life leaves nothing, whenever its manager is killed.
func TestTemporariesEndedAtEveryMoment(t *testing.T) {
	failing := wire.Report{Class: wire.RetryUncounted, Reason: wire.EndpointUnreachable, Message: "refused"}
	for name, of := range kinds {
		for moment := range 14 {
			for _, killAt := range []int{moment + 1, moment + 3} {
				for _, suspended := range []bool{false, true} {
					b := newTemporaryBench(t, of, failing, killAt, killAt%2 == 0)
					for range moment {
						b.step()
						b.storage()
					}
					e := b.export()
					if suspended {
						e.Spec.Suspend = true
						if err := b.client.Update(t.Context(), e); err != nil {
							t.Fatal(err)
						}
					} else if err := b.client.Delete(t.Context(), e); err != nil {
						t.Fatal(err)
					}
					b.settleTemporary()
					b.collectGarbage()
					if suspended {
						b.open = false // It goes on where it was.
					}
					err := b.clean(0)
					if suspended && b.pods() == 1 && len(b.snapshots()) == 0 && b.claim(protocol.TemporaryName("e-1")) == nil {
						err = nil // The pod of an attempt that ended before.
					}
					if gone := b.export() == nil; err != nil || gone == suspended {
						t.Errorf("%s, ended after %d passes (suspended: %v), killed at write %d: %v, gone: %v",
							name, moment, suspended, killAt, err, gone)
					}
				}
			}
		}
	}
}

// The sweeper removes what has lost its owner and its finalizer, and nothing else.
func TestSweepOfTemporaries(t *testing.T) {
	b := newTemporaryBench(t, kind{v1alpha1.ConsistencySnapshot, false}, wire.Report{}, 0, false)
	for b.claim(protocol.TemporaryName("e-1")) == nil {
		b.step()
		b.storage()
	}
	r := &Reconciler{Client: b.client, Live: b.client, Options: Options{Now: time.Now}}
	theirs := b.claim(protocol.TemporaryName("e-1"))
	theirs.Name, theirs.ResourceVersion, theirs.UID = "mine", "", "x"
	if err := errors.Join(b.client.Create(t.Context(), theirs), Sweeper{r}.Sweep(t.Context())); err != nil {
		t.Fatal(err)
	}
	if b.claim(protocol.TemporaryName("e-1")) == nil || len(b.snapshots()) != 1 {
		t.Fatal("what an export has was removed")
	}
	e := b.export()
	e.Finalizers = nil
	err := errors.Join(b.client.Update(t.Context(), e), b.client.Delete(t.Context(), e), Sweeper{r}.Sweep(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if b.claim(protocol.TemporaryName("e-1")) != nil || len(b.snapshots()) > 0 || b.claim("mine") == nil {
		t.Errorf("claim %v and snapshots %v are left, somebody's claim is %v",
			b.claim(protocol.TemporaryName("e-1")), b.snapshots(), b.claim("mine"))
	}
}

// Nothing is made while a free volume would be taken, and the run goes on when there is none.
func TestFreeVolumeIsLeftAlone(t *testing.T) {
	for name, of := range kinds {
		b := newTemporaryBench(t, of, wire.Report{Class: wire.Done, Objects: 3}, 0, false)
		free := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "pv-free"}}
		free.Spec.StorageClassName, free.Status.Phase = "fast", corev1.VolumeAvailable
		free.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("5Gi")}
		free.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
		if err := b.client.Create(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			b.step()
			b.storage()
		}
		c := meta.FindStatusCondition(b.export().Status.Conditions, v1alpha1.ConditionComplete)
		if len(b.snapshots()) > 0 || b.claim(protocol.TemporaryName("e-1")) != nil || c == nil ||
			c.Reason != string(v1alpha1.ReasonFreeVolume) {
			t.Errorf("%s: %d snapshots, claim %v, told is %+v",
				name, len(b.snapshots()), b.claim(protocol.TemporaryName("e-1")), c)
		}
		if err := b.client.Delete(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		b.settleTemporary()
		if e := b.export(); !protocol.Complete(e) {
			t.Errorf("%s: the status is %+v", name, e.Status)
		}
	}
}
