// SPDX-License-Identifier: Apache-2.0

package progress_test

import (
	"testing"

	"github.com/s3populator/s3populator/internal/progress"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestProgressNeverSaysDone(t *testing.T) {
	p := progress.Of(wire.Snapshot{BytesDone: 100, BytesTotal: 100})
	if p.Percent != 99 {
		t.Errorf("percent %d: only the verified report may say 100", p.Percent)
	}
}

func TestSizesReadWell(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 512: "512", 1536: "1.5Ki", 84 << 20: "84Mi", 1 << 40: "1.0Ti"} {
		if got := progress.Size(n); got != want {
			t.Errorf("Size(%d) = %q, want %q", n, got, want)
		}
	}
}
