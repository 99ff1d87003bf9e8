// SPDX-License-Identifier: Apache-2.0

package story

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// world is a sound population, step by step; a case breaks one of them.
type world struct {
	filled, gone, promised, bound string // revisions
	promisedTo                    string
	secondMover, secondPrime      bool
	foreign, handedOn             bool
}

func (w world) judge() []string {
	l := newInvariants()
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "n", UID: "c", ResourceVersion: "1"},
		Spec: corev1.PersistentVolumeClaimSpec{
			DataSourceRef: &corev1.TypedObjectReference{Kind: v1alpha1.KindS3Source},
		},
	}
	labels := func(role string) map[string]string {
		return map[string]string{
			v1alpha1.LabelRole:      role,
			v1alpha1.LabelClaimUID:  "c",
			v1alpha1.LabelManagedBy: v1alpha1.ManagedBy,
		}
	}
	prime := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "s3prime-c",
			Namespace:       "n",
			UID:             "p",
			ResourceVersion: "2",
			Labels:          labels(v1alpha1.RolePrime),
			Annotations:     map[string]string{},
		},
	}
	mover := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "populate-c",
			Namespace:       "n",
			UID:             "m",
			ResourceVersion: "3",
			Labels:          labels(v1alpha1.RolePopulate),
		},
	}
	volume := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "v", ResourceVersion: "4", Annotations: map[string]string{}},
	}
	volume.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "n", UID: "p"}
	l.claim(claim, false)
	l.claim(prime, false)
	l.pod(mover, false)
	l.volume(volume)
	if w.secondMover {
		second := mover.DeepCopy()
		second.UID = "m2"
		l.pod(second, false)
		second.ResourceVersion = "4"
		l.pod(second, true)
	}
	if w.secondPrime {
		second := prime.DeepCopy()
		second.UID = "p2"
		l.claim(second, false)
	}
	if w.filled != "" {
		prime.Annotations[v1alpha1.AnnotationPopulated], prime.ResourceVersion = "m", w.filled
		l.claim(prime, false)
	}
	if w.gone != "" {
		mover.ResourceVersion = w.gone
		l.pod(mover, true)
	}
	if w.promised != "" {
		volume.Annotations[v1alpha1.AnnotationPopulatedFor], volume.ResourceVersion = w.promisedTo, w.promised
		l.volume(volume)
	}
	wrote := func(at int64) {
		volume.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: ManagerName, Time: new(metav1.Unix(at, 0))}}
		l.volume(volume)
	}
	wrote(1)
	if w.handedOn || w.foreign {
		volume.Spec.ClaimRef.UID = "someone"
		l.volume(volume)
	}
	if w.foreign {
		wrote(2)
	}
	claim.Spec.VolumeName, claim.ResourceVersion = "v", w.bound
	l.claim(claim, false)
	return l.verdict("n")
}

// Every invariant notices when it is broken.
func TestInvariants(t *testing.T) {
	sound := world{filled: "5", gone: "6", promised: "7", promisedTo: "c", bound: "8"}
	with := func(change func(*world)) world { w := sound; change(&w); return w }
	tests := map[string]struct {
		world world
		want  string // part of the only verdict; empty for none
	}{
		"a sound population":              {sound, ""},
		"bound to an unpromised volume":   {with(func(w *world) { w.promised = "" }), "never promised"},
		"bound to another claim's volume": {with(func(w *world) { w.promisedTo = "other" }), "never promised"},
		"bound before the promise": {
			with(func(w *world) { w.bound = "7"; w.promised = "8" }),
			"before volume v was promised",
		},
		"promised before it was filled":        {with(func(w *world) { w.filled = "8" }), "without a prime"},
		"promised without ever being filled":   {with(func(w *world) { w.filled = "" }), "without a prime"},
		"promised while the mover was there":   {with(func(w *world) { w.gone = "8" }), "was still there"},
		"promised and the mover never left":    {with(func(w *world) { w.gone = "" }), "was still there"},
		"two movers at once":                   {with(func(w *world) { w.secondMover = true }), "2 living movers"},
		"two primes at once":                   {with(func(w *world) { w.secondPrime = true }), "2 living primes"},
		"a volume that is somebody else's now": {with(func(w *world) { w.handedOn = true }), ""},
		"a write to somebody else's volume": {
			with(func(w *world) { w.foreign = true }),
			"neither a prime nor a claim of ours",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.world.judge()
			if test.want == "" && len(got) == 0 || test.want != "" && len(got) == 1 && strings.Contains(got[0], test.want) {
				return
			}
			t.Errorf("got %q, want one with %q", got, test.want)
		})
	}
}
