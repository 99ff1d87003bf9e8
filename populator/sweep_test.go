// SPDX-License-Identifier: Apache-2.0

package populator

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/protocol"
)

const goneUID = "99999999-0000-0000-0000-000000000000"

// leftover is a claim with the labels of a prime, and a volume, whose own claim is gone.
func leftover(name, volumeName string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "team", UID: "leftover-uid", Labels: map[string]string{
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RolePrime, v1alpha1.LabelClaimUID: goneUID,
		}},
		Spec: corev1.PersistentVolumeClaimSpec{VolumeName: volumeName},
	}
}

func marked(v *corev1.PersistentVolume) { v.Annotations[v1alpha1.AnnotationScratchFor] = goneUID }

// The sweeper deletes a claim only if its name, its label and the record on its volume agree
// that it is a prime of ours: each of them alone can be a user's.
func TestSweepKeepsWhatIsNotProvenToBeOurs(t *testing.T) {
	prime := protocol.PrimePrefix + goneUID
	cases := map[string]struct {
		name   string
		volume func(*corev1.PersistentVolume)
		kept   bool
	}{
		"a prime of ours":                   {prime, marked, false},
		"a user's claim of that name":       {prime, func(*corev1.PersistentVolume) {}, true},
		"a user's claim that copied labels": {"data", marked, true},
		"a claim that looks like a prime":   {"s3prime-x", func(*corev1.PersistentVolume) {}, true},
		"a claim without a volume":          {prime, nil, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			claim := leftover(c.name, "")
			objects := []client.Object{claim}
			if c.volume != nil {
				claim.Spec.VolumeName = "pv-1"
				v := volume("pv-1", claim)
				c.volume(v)
				objects = append(objects, v)
			}
			w := sweeperOf(t, objects...)
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := w.Reconciler.Get(t.Context(), client.ObjectKeyFromObject(claim), claim)
			if kept := err == nil; kept != c.kept || client.IgnoreNotFound(err) != nil {
				t.Errorf("kept: %v (%v)", kept, err)
			}
		})
	}
}

// Pods go by name, label and container.
func TestSweepOfPods(t *testing.T) {
	cases := map[string]struct {
		name, container string
		kept            bool
	}{
		"a mover":                         {moverpod.PopulatorName(goneUID), moverpod.ContainerName, false},
		"a consumer":                      {moverpod.ConsumerName(goneUID), moverpod.ConsumerContainer, false},
		"a user's pod that copied labels": {"web", moverpod.ContainerName, true},
		"a user's pod of that name":       {moverpod.PopulatorName(goneUID), "web", true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{
					Name:      c.name,
					Namespace: "team",
					UID:       "pod-uid",
					Labels:    map[string]string{v1alpha1.LabelClaimUID: goneUID},
				},
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: c.container}}},
			}
			w := sweeperOf(t, pod)
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if kept := w.Reconciler.Get(t.Context(), client.ObjectKeyFromObject(pod), pod) == nil; kept != c.kept {
				t.Errorf("kept: %v", kept)
			}
		})
	}
}

func sweeperOf(t *testing.T, objects ...client.Object) Sweeper {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.PersistentVolumeClaim{}, indexUID, func(o client.Object) []string {
			if claim := o.(*corev1.PersistentVolumeClaim); ours(claim) {
				return []string{string(claim.UID)}
			}
			return nil
		}).Build()
	return Sweeper{Reconciler: &Reconciler{Client: c, Live: c}}
}
