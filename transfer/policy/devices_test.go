// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func device(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) }

// A claim without files has no S3Export that could only fail, and that is said as long as it is selected.
func TestClaimsWithoutFilesAreSkipped(t *testing.T) {
	files := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeFilesystem) }
	mixed := func() *world {
		return newWorld(hour(1), "a").claim("b", midnight, files).claim("raw", midnight, device)
	}
	bare := func(s *v1alpha1.S3ExportPolicySpec) { s.Schedule, s.OnDelete = "", true }
	paused := func(s *v1alpha1.S3ExportPolicySpec) { s.Suspend = true }
	for name, tt := range map[string]struct {
		world        *world
		starts, says string
		claims       int32
	}{
		"beside claims with files": {mixed(), "a@1 b@1", "Of the claims, raw have volumeMode Block", 3},
		"many of them": {
			newWorld(hour(1)).claim("z", midnight, device).claim("y", midnight, device).claim("x", midnight, device).
				claim("w", midnight, device), "", "w, x, y and 1 more have volumeMode Block", 4,
		},
		"one that waited":  {mixed().last(hour(1), "a", "raw"), "a@1", "raw have volumeMode Block", 3},
		"before deletions": {mixed().spec(bare), "", "also not before they are deleted", 3},
		"suspended":        {mixed().spec(paused), "", "raw have volumeMode Block", 3},
		"an older policy decides about those with files": {
			mixed().spec(deletions).older("first", 1), "a@1 b@1", "Of the claims, a, b are selected by an older policy", 3,
		},
		"none":         {newWorld(hour(1), "a"), "a@1", "", 1},
		"not selected": {newWorld(hour(1), "a").claim("raw", midnight, device, unlabelled), "a@1", "", 1},
	} {
		d := decide(tt.world.state)
		text := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionReady).Message
		if brief(d.Start) != tt.starts || d.Status.Claims != tt.claims || !strings.Contains(text, tt.says) ||
			tt.says == "" && strings.Contains(text, "Block") {
			t.Errorf("%s: starts %q of %d claims and says %q; want %q, %q", name, brief(d.Start), d.Status.Claims, text,
				tt.starts, tt.says)
		}
	}
}

func unlabelled(c *corev1.PersistentVolumeClaim) { c.Labels = nil }

// skipEvents are those of a decision, which is carried out.
func (w *world) skipEvents() (notes []string) {
	d := decide(w.state)
	for _, e := range d.Events {
		if e.Reason == v1alpha1.ReasonClaimsSkipped {
			notes = append(notes, e.Note)
		}
	}
	w.Policy.Status = d.Status
	return notes
}

// It is told once of each, whatever else the condition says meanwhile.
func TestWhatIsSkippedIsToldOnce(t *testing.T) {
	w := newWorld(hour(1), "a").claim("raw", midnight, device)
	if told := w.skipEvents(); len(told) != 1 || !strings.HasPrefix(told[0], "Of the claims, raw have volumeMode Block") {
		t.Fatalf("told %q", told)
	}
	for n, change := range []func(){
		func() {},
		func() { w.Now = hour(2) },
		func() { w.Policy.Spec.Suspend = true },
		func() { w.Policy.Spec.Suspend = false },
		func() { w.Policy.Spec.Schedule, w.Policy.Spec.OnDelete = "", true },
	} {
		change()
		if told := w.skipEvents(); len(told) > 0 {
			t.Errorf("after change %d it is told again: %q", n, told)
		}
	}
	w.claim("disk", midnight, device)
	if told := w.skipEvents(); len(told) != 1 || !strings.Contains(told[0], "disk, raw have") {
		t.Errorf("of another one is told %q", told)
	}
	w.Policy.Spec.Schedule = "a b c d e"
	for range 2 {
		if told := w.skipEvents(); len(told) > 0 {
			t.Errorf("beside a schedule that is none: %q", told)
		}
	}
}
