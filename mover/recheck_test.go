// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// slowS3 gives no answer about parts.
type slowS3 struct{ silentS3 }

func (slowS3) Head(ctx context.Context, _ string, _ minio.StatObjectOptions) (minio.ObjectInfo, error) {
	<-ctx.Done()
	return minio.ObjectInfo{}, context.Cause(ctx)
}

// TestAComparisonOfWhatIsThereIsSaved: a mover that is killed again and again while it compares the
// files of an earlier one gets further each time, and one that is told to stop does.
func TestAComparisonOfWhatIsThereIsSaved(t *testing.T) {
	v, file := journalVolume(t)
	dir := v.Root.Name()
	p, err := planOf(t, wire.Request{Operation: wire.Populate},
		listed{key: "quick", size: 5, etag: hexMD5("hello")},
		listed{key: "slow", size: 5, etag: hexMD5("world") + "-2"},
	)
	mustDo(t, err)
	write(t, filepath.Join(dir, "quick"), "hello")
	write(t, filepath.Join(dir, "slow"), "world")
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Asker: slowS3{}, Plan: p})
	tr.checkpointEvery = time.Millisecond
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- tr.resume(ctx) }()
	waitFor(t, time.Minute, "the journal knows the file that was compared", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && bytes.Contains(text, []byte(`"quick"`))
	})
	stop(fault.ErrTerminated)
	if err := <-ended; !errors.Is(err, fault.ErrTerminated) {
		t.Errorf("the comparison ends with %v", err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "slow")); err != nil {
		t.Errorf("the file that was not compared is gone: %v", err)
	}
	if !tr.status.progressed.Load() {
		t.Error("what was saved is no progress")
	}
}
