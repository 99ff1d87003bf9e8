// SPDX-License-Identifier: Apache-2.0

package webhook

import "testing"

// BenchmarkHandle reviews one claim. The bounds are those of docs: 100 us and 64 KiB.
func BenchmarkHandle(b *testing.B) {
	for name, file := range map[string]string{
		"annotated": "testdata/auto-size.in.yaml",
		"url":       "testdata/url-with-everything.in.yaml",
		"selected":  "testdata/selected.in.yaml",
		"refused":   "testdata/error-many.in.yaml",
		"untouched": "testdata/untouched.in.yaml",
	} {
		b.Run(name, func(b *testing.B) {
			r := load(b, file)
			claims := r.claims()
			b.ReportAllocs()
			for b.Loop() {
				claims.Handle(b.Context(), r.request)
			}
		})
	}
}
