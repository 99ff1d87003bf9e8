// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestAnExportThatLostAnObject is not restored as if it was whole: the manifest tells what was.
func TestAnExportThatLostAnObject(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	for _, name := range []string{"a", "dir/b", "dir/c"} {
		b.file(name, name)
	}
	b.mustBeDone(b.run())
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/dir/b", minio.RemoveObjectOptions{}))
	p, r := b.populate(nil)
	if r.Reason != wire.SourceChanged || !r.Class.Again() || !strings.Contains(r.Message, `1 of its files`) ||
		!strings.Contains(r.Message, `"dir/b"`) {
		t.Errorf("report is %+v", r)
	}
	// What is not selected may lack, and so may anything where the manifest is not asked for.
	p, r = b.populate(func(r *wire.Request) { r.Source.Exclude = []string{"dir/b"} })
	p.mustBeDone(r)
	p.mustHold(map[string][]byte{"a": []byte("a"), "dir/c": []byte("dir/c")})
	p, r = b.populate(func(r *wire.Request) { r.Policy.RestoreAttributes = false })
	p.mustBeDone(r)
	p.mustHold(map[string][]byte{"a": []byte("a"), "dir/c": []byte("dir/c")})
}
