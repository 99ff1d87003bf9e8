// SPDX-License-Identifier: Apache-2.0

package native

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestEveryRequestIsConditional: each answer, of a range too, is that of the object that was listed, whatever
// is written to S3 meanwhile. What answers name says so as well, of servers that do not look at conditions.
func TestEveryRequestIsConditional(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"our own connections": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put("small", random(1, 1000), nil)
			f.put("large", random(2, LargeSize+1), nil)
			var mu sync.Mutex
			asked := map[string]int{}
			f.fault = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
				key := strings.TrimPrefix(r.URL.Path, "/bucket/")
				what := r.Method + " " + key
				if r.Header.Get("Range") != "" {
					what = "a range of " + key
				}
				mu.Lock()
				asked[what]++
				mu.Unlock()
				if got, want := r.Header["If-Match"], []string{`"` + f.objects[key].tag + `"`}; !slices.Equal(got, want) {
					t.Errorf("%s: If-Match is %q, want %q", what, got, want)
				}
				return false
			}
			e := New(f.config)
			defer e.Close()
			e.plain.Store(plain)
			if err := e.Fetch(t.Context(), slices.Values(f.tasks), f, f); err != nil {
				t.Fatal(err)
			}
			f.mustHold()
			mu.Lock()
			defer mu.Unlock()
			ranges := LargeSize/rangeSize + 1
			for what, want := range map[string]int{"GET small": 1, "HEAD large": 1, "a range of large": ranges} {
				if asked[what] < want {
					t.Errorf("%s was asked for %d times, want %d", what, asked[what], want)
				}
			}
		})
	}
}
