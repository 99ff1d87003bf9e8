// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// A volume that holds somebody's data is never filled because a request was not understood.
func TestARequestThatAMoverCannotDoLeavesTheVolumeAlone(t *testing.T) {
	for name, change := range map[string]func(*wire.Request){
		"another operation": func(r *wire.Request) { r.Operation = "Burn" },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "kept"), []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			r := wire.Request{
				Operation: wire.Populate,
				Source:    wire.Source{Bucket: testBucket, Endpoint: "http://127.0.0.1:1"},
				// Began, so that nothing but the refusal protects the file.
				Volume: wire.Volume{Mode: wire.Filesystem, ClaimUID: testClaim, Began: true},
				Policy: wire.Policy{OnEmpty: wire.Allow},
			}
			change(&r)
			report := Run(t.Context(), r, Options{
				Paths:  Paths{Volume: dir, Scratch: t.TempDir()},
				Getenv: func(string) string { return "" },
				Log:    io.Discard,
				PodUID: "pod",
			})
			if report.Class != wire.User || report.Reason != wire.MoverBroken || report.Began {
				t.Errorf("the report is %+v", report)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != "kept" {
				t.Errorf("the volume holds %v (%v)", entries, err)
			}
		})
	}
}
