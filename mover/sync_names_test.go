// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/restore"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Where a sync of all does not reach names and attributes, a population ends with a sync of each.
func TestAPopulationSyncsNames(t *testing.T) {
	for name, restored := range map[string]bool{"files alone": false, "with what a manifest holds": true} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			write(t, filepath.Join(v.Dir.Name(), "a/b/f"), "right")
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a/b/f", size: 5})
			mustDo(t, err)
			j, _ := read(t, v, "r")
			tr := transferOf(v, j, &proof.Prover{Plan: p})
			want := int64(4) // The root, a, a/b, and the root once more, without the journal.
			if restored {
				filter, err := plan.NewFilter(wire.Source{})
				mustDo(t, err)
				entries := []manifest.Entry{
					{Path: "a", Type: manifest.Directory, Mode: 0o700},
					{Path: "a/b/f", Type: manifest.File, Size: 5, ETag: p.TagText(p.Entries.At(0).ETag), Mode: 0o600},
					{Path: "empty", Type: manifest.Directory, Mode: 0o700},
				}
				tr.attributes = restore.New(v, p, filter)
				for _, e := range entries {
					tr.attributes.Add(e)
				}
				want += 4 + 3 // The names once more, one of which is new, and each entry.
			}
			v.EachFile = true
			mustDo(t, tr.complete(t.Context()))
			if n := v.Alone.Load(); n != want {
				t.Errorf("%d files and directories were synced by themselves, want %d", n, want)
			}
		})
	}
}

// An import whose files are all there may follow one that was killed before it had synced their names.
func TestAnImportSyncsNamesThatAreThere(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "t/a/b/f"), "right")
	mustDo(t, os.MkdirAll(filepath.Join(dir, "t/marker"), 0o755))
	u, err := volume.OpenInUse(dir, "run-1", wire.Files{})
	mustDo(t, err)
	defer u.Close()
	r := wire.Request{Operation: wire.Import, Volume: wire.Volume{TargetPath: "t"}}
	p, err := planOf(t, r, listed{key: "a/b/f", size: 5}, listed{key: "marker/", size: 0})
	mustDo(t, err)
	tr := importingOf(u, &proof.Prover{Asker: silentS3{}, Plan: p})
	tr.request = r
	u.EachFile = true
	mustDo(t, tr.settle(t.Context()))
	if n := u.Alone.Load(); n != 5 {
		t.Errorf("%d directories were synced by themselves, want the root, t, t/a, t/a/b and t/marker", n)
	}
}
