// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestAVolumeThatRefusesWrites fails its mover, although each file looks sound, and when it takes them the next one
// fills it.
func TestAVolumeThatRefusesWrites(t *testing.T) {
	const files, size = 10, 4 << 20
	for _, engine := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(engine, func(t *testing.T) {
			s := startVersity(t)
			want := map[string][]byte{}
			for i := range files {
				name := fmt.Sprintf("f%d", i)
				want[name] = content(uint64(i), size)
				s.put(t, name, want[name])
			}
			b := newBench(t, s.endpoint)
			b.request.Transfer.Engine = engine
			grow, remount := thinVolume(t, b.paths.Volume, 24, 80)
			r := b.run()
			if r.Reason != wire.TransferFailed || !r.Class.Again() {
				t.Errorf("report is %+v, want %s", r, wire.TransferFailed)
			}
			grow()
			b.request.Attempt, b.request.Volume.Began = 2, r.Began
			b.mustBeDone(b.run())
			remount()
			want[plan.LostAndFound+"/"] = nil
			b.mustHold(want)
		})
	}
}
