// SPDX-License-Identifier: Apache-2.0

package sizing

import "testing"

func TestRequest(t *testing.T) {
	percent := func(p int32) *int32 { return &p }
	tests := map[string]struct {
		bytes   int64
		overage *int32
		want    string
	}{
		"nothing still needs a volume":      {want: "1Mi"},
		"one byte":                          {bytes: 1, want: "1Mi"},
		"a quarter more by default":         {bytes: 100 << 20, want: "125Mi"},
		"exactly a mebibyte, no overage":    {bytes: 1 << 20, overage: percent(0), want: "1Mi"},
		"one byte over a mebibyte":          {bytes: 1<<20 + 1, overage: percent(0), want: "2Mi"},
		"overage of a byte rounds up":       {bytes: 1 << 20, overage: percent(1), want: "2Mi"},
		"ten times as much":                 {bytes: 1 << 20, overage: percent(1000), want: "11Mi"},
		"an exbibyte does not overflow":     {bytes: 1 << 60, overage: percent(100), want: "2Ei"},
		"a fraction of a percent counts up": {bytes: 4<<20 - 1, overage: percent(0), want: "4Mi"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := Request(tt.bytes, tt.overage)
			if got.String() != tt.want {
				t.Errorf("Request(%d) = %s, want %s", tt.bytes, got.String(), tt.want)
			}
		})
	}
}
