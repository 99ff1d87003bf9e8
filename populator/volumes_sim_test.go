// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

// oldVolume is somebody's volume with data, which an administrator has just freed.
const oldVolume = "old"

// late tells that the class waits for a consumer.
func (sim *simulator) late() bool {
	class := &storagev1.StorageClass{}
	sim.must(sim.api.Get(sim.t.Context(), client.ObjectKey{Name: "fast"}, class))
	return *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer
}

// placed tells that the provisioner may make a volume for a claim: of a class that waits it
// must have a node, which the scheduler gives it with the first pod that uses it.
func (sim *simulator) placed(c *corev1.PersistentVolumeClaim) bool {
	return !sim.late() || c.Annotations[v1alpha1.AnnotationSelectedNode] != "" || sim.consumerOf(c) != nil
}

func (sim *simulator) consumerOf(c *corev1.PersistentVolumeClaim) *corev1.Pod {
	for _, p := range sim.pods() {
		for _, v := range p.Spec.Volumes {
			if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == c.Name && p.DeletionTimestamp == nil {
				return &p
			}
		}
	}
	return nil
}

// capture is what the PV controller and, for a class that waits, the scheduler do with a free
// volume: a claim that asks for one gets it. Only a claim that has its node is provisioned.
func (sim *simulator) capture() bool {
	v := &corev1.PersistentVolume{}
	if sim.api.Get(sim.t.Context(), client.ObjectKey{Name: oldVolume}, v) != nil ||
		v.Status.Phase != corev1.VolumeAvailable {
		return false
	}
	for _, c := range sim.claims() {
		if c.Spec.VolumeName != "" || c.Spec.DataSourceRef != nil ||
			sim.late() && (c.Annotations[v1alpha1.AnnotationSelectedNode] != "" || sim.consumerOf(&c) == nil) {
			continue
		}
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: c.Namespace, Name: c.Name, UID: c.UID}
		v.Annotations[v1alpha1.AnnotationBoundByController] = "yes"
		sim.must(sim.api.Update(sim.t.Context(), v))
		v.Status.Phase = corev1.VolumeBound
		sim.must(sim.api.Status().Update(sim.t.Context(), v))
		return true
	}
	return false
}

// runConsumers schedules and ends consumers whose claim is bound.
func (sim *simulator) runConsumers() bool {
	for _, p := range sim.pods() {
		if p.Spec.Containers[0].Name != moverpod.ConsumerContainer || p.Status.Phase == corev1.PodSucceeded {
			continue
		}
		c := &corev1.PersistentVolumeClaim{}
		if sim.api.Get(
			sim.t.Context(),
			client.ObjectKey{Namespace: p.Namespace, Name: p.Spec.Volumes[0].PersistentVolumeClaim.ClaimName},
			c,
		) != nil ||
			!protocol.Bound(c) {
			continue
		}
		p.Spec.NodeName = "a"
		sim.must(sim.api.Update(sim.t.Context(), &p))
		p.Status.Phase = corev1.PodSucceeded
		p.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: moverpod.ConsumerContainer, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
		}
		sim.must(sim.api.Status().Update(sim.t.Context(), &p))
		return true
	}
	return false
}

// volumeController runs where its watch would wake it; false when there was nothing to write.
func (sim *simulator) volumeController(v *corev1.PersistentVolume) (moved bool) {
	step := protocol.StepOf(v)
	if step != protocol.ClearClaimRef && step != protocol.RestorePolicy {
		return false
	}
	defer func() {
		if p := recover(); p != nil {
			moved = true // It dies after a write.
			if p != any(errCrash) {
				panic(p)
			}
		}
	}()
	before := sim.writes
	r := &VolumeReconciler{Client: sim.ours, Live: sim.ours, Events: events.NewFakeRecorder(100)}
	_, err := r.Reconcile(sim.t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(v)})
	if err != nil && sim.strike == nil {
		sim.t.Error(err)
	}
	return sim.writes != before
}

// withOldVolume frees a volume with data, of a policy, that fits every claim.
func (sim *simulator) withOldVolume(policy corev1.PersistentVolumeReclaimPolicy, annotations map[string]string) {
	sim.t.Helper()
	v := volume(oldVolume, &corev1.PersistentVolumeClaim{})
	v.Annotations = map[string]string{"data": "yes"}
	maps.Copy(v.Annotations, annotations)
	v.Spec.ClaimRef, v.ResourceVersion = nil, ""
	v.Spec.PersistentVolumeReclaimPolicy = policy
	sim.must(sim.api.Create(sim.t.Context(), v))
	v.Status.Phase = corev1.VolumeAvailable
	sim.must(sim.api.Status().Update(sim.t.Context(), v))
}

// asItWas asserts that the old volume is free, or somebody else's by now, with its own policy and no trace of ours.
func (sim *simulator) asItWas(policy corev1.PersistentVolumeReclaimPolicy) {
	sim.t.Helper()
	v := &corev1.PersistentVolume{}
	sim.must(sim.api.Get(sim.t.Context(), client.ObjectKey{Name: oldVolume}, v))
	if v.Spec.ClaimRef != nil || v.Status.Phase != corev1.VolumeAvailable ||
		v.Spec.PersistentVolumeReclaimPolicy != policy ||
		v.Annotations[v1alpha1.AnnotationReleasing] != "" ||
		v.Annotations[v1alpha1.AnnotationReclaimPolicy] != "" {
		sim.t.Errorf(
			"the old volume is left as %s, %s, claimRef %v, %v",
			v.Status.Phase,
			v.Spec.PersistentVolumeReclaimPolicy,
			v.Spec.ClaimRef,
			v.Annotations,
		)
	}
}

// captures are the ways to a volume that is not ours.
var captures = map[string]struct {
	changes []change
	policy  corev1.PersistentVolumeReclaimPolicy
	marks   map[string]string
}{
	"made by hand, for a claim that does not wait": {
		[]change{lateClass, bindNow}, corev1.PersistentVolumeReclaimRetain, map[string]string{},
	},
	"retained by its class, for a claim that does not wait": {
		[]change{
			lateClass,
			bindNow,
		}, corev1.PersistentVolumeReclaimRetain, map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
	},
	"free, although its policy is Delete": {
		[]change{
			lateClass,
			bindNow,
		}, corev1.PersistentVolumeReclaimDelete, map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
	},
}

func bindNow(s *protocol.State) {
	s.Claim.Annotations[v1alpha1.AnnotationBind] = v1alpha1.BindImmediate
}

// A free volume that a prime was given survives, whenever the manager is struck, with its own
// policy; and the claim is filled all the same.
func TestACapturedVolumeIsGivenBack(t *testing.T) {
	if testing.Short() {
		t.Skip("plays the protocol some hundred times")
	}
	for name, c := range captures {
		t.Run(name, func(t *testing.T) {
			play := func(t *testing.T, at int, strike func() error) *simulator {
				t.Helper()
				sim := newSimulator(t, c.changes...)
				sim.withOldVolume(c.policy, c.marks)
				sim.strikeAt, sim.strike = at, strike
				sim.converge()
				sim.asItWas(c.policy)
				sim.must(sim.api.Delete(t.Context(), &corev1.PersistentVolume{ObjectMeta: volumeNamed(oldVolume)}))
				sim.finished(corev1.PersistentVolumeReclaimDelete)
				sim.atRest()
				return sim
			}
			undisturbed := play(t, 0, nil)
			for kind, strike := range strikes {
				for n := 1; n <= undisturbed.writes; n++ {
					t.Run(fmt.Sprintf("%s after write %d", kind, n), func(t *testing.T) { play(t, n, strike) })
				}
			}
		})
	}
}

// A claim that is deleted while its prime has a volume of somebody else takes nothing along.
func TestACapturedVolumeOutlivesItsClaim(t *testing.T) {
	c := captures["retained by its class, for a claim that does not wait"]
	for n := 3; n <= 12; n++ {
		t.Run(fmt.Sprintf("deleted after write %d", n), func(t *testing.T) {
			sim := newSimulator(t, c.changes...)
			sim.withOldVolume(c.policy, c.marks)
			sim.strikeAt, sim.strike = n, func() error {
				claim := &corev1.PersistentVolumeClaim{}
				sim.must(sim.api.Get(t.Context(), claimKey, claim))
				return sim.api.Delete(t.Context(), claim)
			}
			sim.converge()
			v := &corev1.PersistentVolume{}
			sim.must(sim.api.Get(t.Context(), client.ObjectKey{Name: oldVolume}, v))
			if v.Spec.PersistentVolumeReclaimPolicy != c.policy {
				t.Errorf("its policy is %s", v.Spec.PersistentVolumeReclaimPolicy)
			}
			if v.Annotations[v1alpha1.AnnotationReleasing] != "" {
				t.Errorf("its release did not end: %s, %v", v.Status.Phase, v.Annotations)
			}
		})
	}
}

// A class that binds at once hands a free volume out again and again while it has no room for
// another. Each time it is given back, and the claim is told; when there is room, it is filled.
func TestAFullPoolDoesNotWearAFreeVolumeOut(t *testing.T) {
	sim := newSimulator(t)
	sim.full = true
	sim.withOldVolume(
		corev1.PersistentVolumeReclaimRetain,
		map[string]string{v1alpha1.AnnotationProvisionedBy: "csi.example.com"},
	)
	for range 120 {
		if err := sim.reconcile(); err != nil {
			t.Fatal(err)
		}
		sim.invariants()
		sim.play()
		sim.now = sim.now.Add(noon.Sub(noon.Add(-1e9)))
	}
	claim := &corev1.PersistentVolumeClaim{}
	sim.must(sim.api.Get(t.Context(), claimKey, claim))
	told, _ := protocol.Populated(claim)
	next := protocol.ReadNextPrime(claim)
	if told.Reason != string(v1alpha1.ReasonVolumeCaptured) || next.Count < 2 || next.Count > 6 {
		t.Errorf("after two minutes: %s, %+v", told.Reason, next)
	}
	if sim.movers > 0 {
		t.Error("a mover ran")
	}
	sim.full = false
	sim.must(sim.api.Delete(t.Context(), &corev1.PersistentVolume{ObjectMeta: volumeNamed(oldVolume)}))
	sim.converge()
	if len(sim.volumes()) == 0 {
		t.Error("no volume was made when there was room")
	}
}

func volumeNamed(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

// given tells that a volume names the claim already: no other one is made for it.
func (sim *simulator) given(c *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(sim.volumes(), func(v corev1.PersistentVolume) bool { return protocol.RefersTo(&v, c) })
}

// orphansReported removes the volumes that an administrator is told of: they were never given
// to a mover.
func (sim *simulator) orphansReported() {
	sim.t.Helper()
	for _, v := range sim.volumes() {
		if protocol.StepOf(&v) != protocol.ReportOrphan || sim.movers > 0 {
			continue
		}
		told := events.NewFakeRecorder(1)
		_, err := (&VolumeReconciler{Client: sim.ours, Live: sim.ours, Events: told}).Reconcile(sim.t.Context(),
			ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&v)})
		sim.must(err)
		if e := <-told.Events; !strings.Contains(e, string(v1alpha1.ReasonVolumeOrphaned)) {
			sim.t.Errorf("told: %s", e)
		}
		sim.must(sim.api.Delete(sim.t.Context(), &v))
	}
}
