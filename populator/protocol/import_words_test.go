// SPDX-License-Identifier: Apache-2.0

package protocol

import (
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
