// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

func TestOrderIsABBA(t *testing.T) {
	t.Parallel()
	var got []bool
	for i := range 5 {
		got = append(got, floorFirst(i))
	}
	if want := []bool{true, false, false, true, true}; !slices.Equal(got, want) {
		t.Errorf("the floor is first in %v, want %v", got, want)
	}
}

func TestPutTakesMediansOfPairs(t *testing.T) {
	t.Parallel()
	f := figures{}
	put(f, 50, []pair{
		{measurement{ended: 10, done: 10, read: 20}, measurement{ended: 11, done: 12, read: 24}},
		{measurement{ended: 20, done: 20, read: 40}, measurement{ended: 22, done: 30, read: 44}},
		{measurement{ended: 10, done: 10, read: 20}, measurement{ended: 10, done: 13, read: 21}},
	})
	for k, want := range map[string]float64{
		"floor_50": 10, "ended_50": 11, "bound_50": 13, "ratio_50": 1.3, "ended_ratio_50": 1.1, "read_ratio_50": 1.1,
	} {
		if got := f.number(k); math.Abs(got-want) > 1e-9 {
			t.Errorf("%s: got %v, want %v", k, got, want)
		}
	}
	if got := f["ratio_50_range"]; !slices.Equal(got.([]float64), []float64{1.2, 1.5}) {
		t.Errorf("range of ratios: got %v, want [1.2 1.5]", got)
	}
}

func TestCheckFindsWhatIsMissingOrCannotBeTrue(t *testing.T) {
	t.Parallel()
	f := figures{"good": 1.0, "low": 0.0, "broken": math.NaN(), "text": "1", "whole": 3}
	err := f.check(map[string]span{
		"good": {0.5, 2}, "low": {0.5, 2}, "broken": {0, 2}, "text": {0, 2}, "absent": {0, 2}, "whole": {3, 3},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, k := range []string{"low", "broken", "text", "absent"} {
		if !strings.Contains(err.Error(), "figure "+k+" is") {
			t.Errorf("nothing is said of %s: %v", k, err)
		}
	}
	for _, k := range []string{"good", "whole"} {
		if strings.Contains(err.Error(), "figure "+k) {
			t.Errorf("%s is refused: %v", k, err)
		}
	}
}

// The keys that others read, and that no short form may write.
func TestKeysOfTheFullForm(t *testing.T) {
	t.Parallel()
	want := together(expectedOfPairs(full), expectedOfManager(full, raised), expectedOfSimulation(full))
	for _, k := range []string{
		"floor_1", "bound_1", "ratio_1", "ratio_50", "requests_per_claim", "floor_requests", "rss_mb", "leftovers",
		"warnings", "kwok_100_cpu_ms", "kwok_1000_cpu_ms", "kwok_1000_rss_mb",
	} {
		if _, ok := want[k]; !ok {
			t.Errorf("figure %s is not expected", k)
		}
	}
	var out bytes.Buffer
	if err := (figures{"floor_1": 2.0}).write(&out, short.prefix); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if _, ok := got["floor_1"]; ok || got["short_floor_1"] != 2.0 {
		t.Errorf("the short form wrote %v", got)
	}
}

// With raised limits no warning is expected, and with the default ones none but of waiting movers.
func TestWhichWarningsAreExpected(t *testing.T) {
	t.Parallel()
	if w := expectedOfManager(full, raised); w["warnings"] != (span{0, 0}) || w["warnings_but_pending"] != (span{0, 0}) {
		t.Errorf("with raised limits %v", w)
	}
	w := expectedOfManager(full, defaults)
	if w["warnings"].most < 1 || w["warnings"].most > 1000 || w["warnings_but_pending"] != (span{0, 0}) {
		t.Errorf("with default limits %v", w)
	}
}

func TestRestartsAreNoProcessorTime(t *testing.T) {
	t.Parallel()
	before := consumption{cpuSeconds: 5, started: []float64{100, 200}}
	if got, err := (consumption{cpuSeconds: 7, started: []float64{100, 200}}).since(before); err != nil || got != 2 {
		t.Errorf("the same processes: got %v, %v", got, err)
	}
	if _, err := (consumption{cpuSeconds: 1, started: []float64{100, 300}}).since(before); err == nil {
		t.Error("a replica that was restarted is not told")
	}
}

func TestWarningsCountTheirSeries(t *testing.T) {
	t.Parallel()
	old := corev1.EventSource{Component: story.ManagerName}
	series := &corev1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(time.Now())}
	for name, c := range map[string]struct {
		event corev1.Event
		ours  bool
		times int
	}{
		"once":          {corev1.Event{Type: "Warning", ReportingController: story.ManagerName}, true, 1},
		"a series":      {corev1.Event{Type: "Warning", ReportingController: story.ManagerName, Series: series}, true, 7},
		"an old series": {corev1.Event{Type: "Warning", Source: old, Count: 3}, true, 3},
		"a good one":    {corev1.Event{Type: "Normal", ReportingController: story.ManagerName}, false, 1},
		"somebody's":    {corev1.Event{Type: "Warning", ReportingController: "kubelet"}, false, 1},
	} {
		if warnsOfUs(&c.event) != c.ours || told(&c.event) != c.times {
			t.Errorf("%s: ours %v, %d times; want %v, %d", name, warnsOfUs(&c.event), told(&c.event), c.ours, c.times)
		}
	}
}

// TestEmptyVolumesAreFound takes a claim that is as it was promised, and breaks one thing after
// the other.
func TestEmptyVolumesAreFound(t *testing.T) {
	t.Parallel()
	type world struct {
		claim  corev1.PersistentVolumeClaim
		run    v1alpha1.S3ImportStatus
		volume corev1.PersistentVolume
	}
	good := func() world {
		var w world
		w.claim.UID, w.claim.Status.Phase = "claim", corev1.ClaimBound
		w.claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{
			{Type: v1alpha1.ConditionPopulated, Status: "True"},
		}
		w.run = v1alpha1.S3ImportStatus{
			Phase: v1alpha1.ImportSucceeded, ManifestDigest: "sha256:x",
			Progress: &v1alpha1.ImportProgress{Bytes: v1alpha1.Counter{Done: 5}},
		}
		w.volume.Annotations = map[string]string{
			v1alpha1.AnnotationManifestDigest: "sha256:x", v1alpha1.AnnotationPopulatedFor: "claim",
		}
		return w
	}
	p := promise{5, "sha256:x"}
	w := good()
	if wrong := p.broken(&w.claim, w.run, w.volume); len(wrong) > 0 {
		t.Fatalf("a good claim: %v", wrong)
	}
	for name, spoil := range map[string]func(*world){
		"Pending":           func(w *world) { w.claim.Status.Phase = corev1.ClaimPending },
		"no condition":      func(w *world) { w.claim.Status.Conditions = nil },
		"condition false":   func(w *world) { w.claim.Status.Conditions[0].Status = "False" },
		"no import":         func(w *world) { w.run = v1alpha1.S3ImportStatus{} },
		"fewer bytes":       func(w *world) { w.run.Progress.Bytes.Done = 0 },
		"another digest":    func(w *world) { w.run.ManifestDigest = "sha256:y" },
		"a silent volume":   func(w *world) { w.volume.Annotations = nil },
		"somebody's volume": func(w *world) { w.volume.Annotations[v1alpha1.AnnotationPopulatedFor] = "other" },
	} {
		w := good()
		spoil(&w)
		if wrong := p.broken(&w.claim, w.run, w.volume); len(wrong) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
	if judge := holds(fileName, object); judge(nil) == nil || judge([]entry{{Path: fileName, Mode: "-rw-r--r--"}}) == nil {
		t.Error("an empty volume, or an empty file, is not found")
	}
}
