// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"strings"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestImportSaysWhatMovedTheData: the words are those of the mover's report, which a tenant's pod has
// written. The API server would refuse a status with any other.
func TestImportSaysWhatMovedTheData(t *testing.T) {
	for name, tt := range map[string]struct {
		engine     string
		bottleneck wire.Bottleneck
		message    string
	}{
		"both": {
			wire.EngineNative,
			wire.BottleneckServer,
			"7 objects, 1.0Mi, verified; moved by Native; bottleneck: Server.",
		},
		"no bottleneck":   {wire.EngineMC, "", "7 objects, 1.0Mi, verified; moved by MC."},
		"neither":         {"", "", "7 objects, 1.0Mi, verified."},
		"words of no one": {"Warp", "Moon", "7 objects, 1.0Mi, verified."},
		"Auto is none":    {wire.EngineAuto, wire.BottleneckCPU, "7 objects, 1.0Mi, verified; bottleneck: CPU."},
	} {
		s := world(filledPrime, withImport, func(s *State) {
			r := doneReport
			r.Engine, r.Bottleneck = tt.engine, tt.bottleneck
			s.Prime.Annotations[v1alpha1.AnnotationResult] = encoded(StoredResult{At: noon, Report: r, Hash: baseHash()})
		})
		got := ImportStatus(s, Decide(s))
		known := name != "words of no one"
		if wantEngine := tt.engine; known && wantEngine != wire.EngineAuto && string(got.Engine) != wantEngine ||
			known && string(got.Bottleneck) != string(tt.bottleneck) || !known && (got.Engine != "" || got.Bottleneck != "") {
			t.Errorf("%s: engine %q and bottleneck %q", name, got.Engine, got.Bottleneck)
		}
		if len(got.Conditions) != 1 || got.Conditions[0].Message != tt.message {
			t.Errorf("%s: conditions %+v, want the message %q", name, got.Conditions, tt.message)
		}
	}
}

// filledWith so many objects, of some of which S3 told nothing but their size.
func filledWith(objects, bySize int64) change {
	return func(s *State) {
		filledPrime(s)
		r := doneReport
		r.Objects, r.SizeOnlyObjects = objects, bySize
		s.Prime.Annotations[v1alpha1.AnnotationResult] = encoded(StoredResult{At: noon, Report: r, Hash: baseHash()})
	}
}

// TestWhatWasComparedBySizeAloneIsTold on the claim, in its event and on its S3Import, in the same words. The number is
// a tenant's, too.
func TestWhatWasComparedBySizeAloneIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		objects, bySize int64
		want            string
	}{
		"none":                {7, 0, "7 objects, 1.0Mi, verified"},
		"some":                {7, 2, "7 objects, 1.0Mi, verified; 2 of them by size alone"},
		"all":                 {7, 7, "7 objects, 1.0Mi, verified; 7 of them by size alone"},
		"more than there are": {7, 8, "7 objects, 1.0Mi, verified; 7 of them by size alone"},
		"less than none":      {7, -1, "7 objects, 1.0Mi, verified"},
		"some of none":        {0, 2, "0 objects, 1.0Mi, verified"},
		"some of less":        {-3, 2, "-3 objects, 1.0Mi, verified"},
	} {
		t.Run(name, func(t *testing.T) {
			s := world(filledWith(tt.objects, tt.bySize), boundToOurs, withImport)
			d := Decide(s)
			if want := tt.want + "; manifest sha256:abc."; d.Message != want {
				t.Errorf("the claim says %q, want %q", d.Message, want)
			}
			events := EventsFor(s, d)
			if len(events) != 1 || !strings.Contains(events[0].Note, ": "+d.Message) {
				t.Errorf("the events are %+v, want one that says %q", events, d.Message)
			}
			if got := ImportStatus(s, d); len(got.Conditions) != 1 || got.Conditions[0].Message != tt.want+"." {
				t.Errorf("the S3Import says %+v, want %q", got.Conditions, tt.want+".")
			}
		})
	}
}
