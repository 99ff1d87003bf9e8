// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestTheJournalFollowsTheDevice: a line speaks only of what was synced before. Where the
// device refuses it, nothing is noted, and the files in question go, because read again
// they might come from memory and look sound.
func TestTheJournalFollowsTheDevice(t *testing.T) {
	for name, refused := range map[string]bool{"the device takes it": false, "the device refuses it": true} {
		t.Run(name, func(t *testing.T) {
			v, _ := journalVolume(t)
			dir := v.root.Name()
			p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: 3 * streamSize}, listed{key: "small", size: 5})
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "small"), "hello")
			j, _ := read(t, v, "source")
			k := &keeper{volume: v, ledger: newLedger(p), journal: j}
			k.ledger.partial.reached(0, 2*streamSize)
			k.ledger.verified(1, byMD5, false)
			if refused {
				_ = v.dir.Close() // A sync by it fails.
			}
			if err := k.checkpoint(); (err != nil) != refused {
				t.Fatalf("the checkpoint ends with %v", err)
			}
			_, noted := read(t, v, "source")
			_, err = os.Stat(filepath.Join(dir, "small"))
			gone := errors.Is(err, fs.ErrNotExist)
			switch {
			case refused && (len(noted) > 0 || !gone):
				t.Errorf("the journal notes %+v, and the file is gone: %v", noted, gone)
			case !refused && (len(noted) != 2 || gone):
				t.Errorf("the journal notes %+v, and the file is gone: %v", noted, gone)
			}
		})
	}
}
