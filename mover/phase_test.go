// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestAVolumeThatIsOnlyComparedHasNotBegun: the manager takes every phase but Listing for the
// word that the volume is ours, and the next mover then removes what is on it.
func TestAVolumeThatIsOnlyComparedHasNotBegun(t *testing.T) {
	for name, mode := range map[string]wire.VolumeMode{"a file system": wire.Filesystem, "a device": wire.Block} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			object := content(1, 4096)
			s.put(t, "a", object)
			m := startManager(t, http.StatusNoContent)
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodHead && keyOf(r) == "a" { // The object differs: is it still the one that was listed?
					waitFor(t, time.Minute, "two messages", func() bool { return m.calls.Load() > 1 })
				}
				return false
			})
			b := newBench(t, p.URL)
			b.request.Attempt = 2
			b.request.Progress = wire.Progress{URL: m.URL, CABundle: m.ca()}
			write(t, b.paths.ProgressToken, "token")
			foreign := content(2, len(object))
			copy(foreign[510:], "\x55\xaa")
			if b.request.Volume.Mode = mode; mode == wire.Block {
				write(t, b.paths.Device, string(foreign)+string(make([]byte, 1<<20)))
			} else {
				write(t, b.paths.Volume+"/a", string(foreign))
			}
			if r := b.run(); r.Reason != wire.VolumeNotEmpty || r.Began {
				t.Errorf("report is %+v, want VolumeNotEmpty", r)
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			for _, s := range m.snapshots {
				if s.Phase != wire.Listing {
					t.Errorf("the manager was told of the phase %s", s.Phase)
				}
			}
		})
	}
}
