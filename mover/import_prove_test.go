// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Of a file that somebody wrote to before it was put into place, the size proves nothing, whatever the request says.
func TestAFileThatSomebodyWroteToIsNotBelievedByItsSize(t *testing.T) {
	for name, write := range map[string]bool{"nobody wrote to it": false, "somebody wrote to it": true} {
		t.Run(name, func(t *testing.T) {
			u, err := volume.OpenInUse(t.TempDir(), "run-1", wire.Files{})
			mustDo(t, err)
			defer u.Close()
			p, err := planOf(t, wire.Request{Operation: wire.Import}, listed{key: "a", size: 5})
			mustDo(t, err)
			tr := importingOf(u, &proof.Prover{Asker: silentS3{}, Plan: p, SizeOnly: true})
			staged, err := u.Stage("a")
			mustDo(t, err)
			_, err = staged.File.WriteString("right")
			mustDo(t, err)
			file, err := staged.Identity()
			mustDo(t, err)
			if write {
				_, err = staged.File.WriteAt([]byte("wrong"), 0)
				later := []unix.Timeval{{Sec: 1 << 31}, {Sec: 1 << 31}} // A tick of the clock may hide what was written.
				mustDo(t, errors.Join(err, unix.Futimes(int(staged.File.Fd()), later)))
			}
			by, _, err := tr.prove(t.Context(), engine.Evidence{File: file, Fetched: 5, Pinned: true}, staged)
			if write && !errors.Is(err, fault.ErrDiffers) || !write && (err != nil || by != proof.BySize) {
				t.Errorf("it is proven by %v (%v)", by, err)
			}
		})
	}
}
