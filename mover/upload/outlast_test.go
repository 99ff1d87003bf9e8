// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"math"
	"testing"
	"time"
)

func TestLeftOfCopies(t *testing.T) {
	t.Parallel()
	const last, never = time.Minute, time.Duration(math.MinInt64)
	for name, tt := range map[string]struct {
		known, byS3, byMovers time.Duration
		want                  time.Duration
	}{
		"it has just ended":                   {0, 0, 0, last},
		"it has ended a while ago":            {20 * time.Second, 20 * time.Second, 20 * time.Second, 40 * time.Second},
		"this mover knows it for long enough": {last, last, last, 0},
		"an earlier attempt has told":         {0, 90 * time.Second, 90 * time.Second, 30 * time.Second},
		"one has told some time ago":          {0, time.Hour, time.Hour, 0},
		"one has told a little while ago":     {0, 61 * time.Second, 61 * time.Second, 59 * time.Second},
		"S3 has clocks that differ":           {0, time.Hour, time.Second, last},
		"the nodes have clocks that differ":   {0, time.Second, time.Hour, last},
		"the mark is of the future to S3":     {0, -time.Hour, time.Hour, last},
		"the mark is of the future to nodes":  {time.Second, time.Hour, -time.Hour, 59 * time.Second},
		"S3 does not say what time it is":     {0, never, time.Hour, last},
		"a clock stands at its beginning":     {0, time.Hour, never, last},
	} {
		if got := leftOfCopies(last, tt.known, tt.byS3, tt.byMovers); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
