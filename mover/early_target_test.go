// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
)

// TestAnEarlyFileIsANewOne, also where its directory has to be made and where it is laid out; a task that is
// tried again has made it itself.
func TestAnEarlyFileIsANewOne(t *testing.T) {
	v, _ := journalVolume(t)
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "this-pod", Request: "r"})
	mustDo(t, err)
	defer j.Close()
	to := newEarlyTarget(v, j)
	for i, size := range []int64{5, preallocateFrom} {
		task := engine.Task{Index: 2 * i, Path: "dir/" + string(rune('a'+i)), Size: size}
		for try := range 2 {
			f, err := to.Create(task)
			if err != nil {
				t.Fatalf("try %d of %d bytes: %v", try, size, err)
			}
			if _, err := f.WriteAt([]byte("hello"), 0); err != nil {
				t.Fatal(err)
			}
			f.Abandon()
		}
		task.Index++
		if f, err := to.Create(task); !errors.Is(err, fs.ErrExist) {
			t.Errorf("another file of %d bytes was made in its place: %v (%v)", size, f, err)
		}
		got, err := os.ReadFile(filepath.Join(v.Root.Name(), task.Path))
		if err != nil || string(got[:5]) != "hello" {
			t.Errorf("the file of %d bytes holds %q (%v)", size, got[:min(len(got), 5)], err)
		}
	}
}
