// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A volume is foreseen if each of what Kubernetes compares fits, and not if one does not.
func TestFree(t *testing.T) {
	t.Parallel()
	volume := func(name string, changes ...func(*corev1.PersistentVolume)) corev1.PersistentVolume {
		v := corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: name}}
		v.Spec.StorageClassName = "fast"
		v.Spec.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("2Gi")}
		v.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteOnce}
		v.Status.Phase = corev1.VolumeAvailable
		for _, c := range changes {
			c(&v)
		}
		return v
	}
	size := func(text string) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) { v.Spec.Capacity[corev1.ResourceStorage] = resource.MustParse(text) }
	}
	mode := func(m corev1.PersistentVolumeMode) func(*corev1.PersistentVolume) {
		return func(v *corev1.PersistentVolume) { v.Spec.VolumeMode = &m }
	}
	for name, test := range map[string]struct {
		change func(*corev1.PersistentVolume)
		fits   bool
	}{
		"as it is":      {func(*corev1.PersistentVolume) {}, true},
		"with files":    {mode(corev1.PersistentVolumeFilesystem), true},
		"a device":      {mode(corev1.PersistentVolumeBlock), false},
		"just as large": {size("1Gi"), true},
		"too small":     {size("1023Mi"), false},
		"in use":        {func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeBound }, false},
		"not there yet": {func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumePending }, false},
		"given back":    {func(v *corev1.PersistentVolume) { v.Status.Phase = corev1.VolumeReleased }, false},
		"reserved":      {func(v *corev1.PersistentVolume) { v.Spec.ClaimRef = &corev1.ObjectReference{Name: "x"} }, false},
		"it goes":       {func(v *corev1.PersistentVolume) { going(v) }, false},
		"another class": {func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = "slow" }, false},
		"no class":      {func(v *corev1.PersistentVolume) { v.Spec.StorageClassName = "" }, false},
		"attributes":    {func(v *corev1.PersistentVolume) { v.Spec.VolumeAttributesClassName = new("gold") }, false},
		"no attributes": {func(v *corev1.PersistentVolume) { v.Spec.VolumeAttributesClassName = new("") }, true},
		"for one pod":   {func(v *corev1.PersistentVolume) { v.Spec.AccessModes[1] = corev1.ReadWriteOncePod }, false},
		"for reading":   {func(v *corev1.PersistentVolume) { v.Spec.AccessModes = v.Spec.AccessModes[:1] }, false},
	} {
		want := ""
		if test.fits {
			want = "pv-9"
		}
		if got := Free(world(by(cloneOf)), []corev1.PersistentVolume{volume("pv-9", test.change)}); got != want {
			t.Errorf("%s: foreseen is %q, want %q", name, got, want)
		}
	}
	two := []corev1.PersistentVolume{volume("pv-8"), volume("pv-7"), volume("pv-9")}
	if got := Free(world(by(cloneOf)), two); got != "pv-7" {
		t.Errorf("of several %q is told, which may be another one each time", got)
	}
	large := world(by(snapshotOf), snapshotted(ready)) // 2Gi are asked for.
	if got := Free(large, []corev1.PersistentVolume{volume("pv-9", size("1Gi"))}); got != "" {
		t.Errorf("%s is smaller than what the snapshot asks for", got)
	}
	if got := Free(world(by(cloneOf), noClaim), two); got != "" {
		t.Errorf("without a claim there is %q", got)
	}
}
