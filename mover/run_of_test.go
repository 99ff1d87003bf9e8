// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"cmp"
	"os"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestARunIsRestoredWholeOrNotAtAll: what a source has found by fromExport was complete when it was found.
func TestARunIsRestoredWholeOrNotAtAll(t *testing.T) {
	remove := func(t *testing.T, s *s3server, key string) {
		mustDo(t, s.client.RemoveObject(t.Context(), testBucket, key, minio.RemoveObjectOptions{}))
	}
	for name, tt := range map[string]struct {
		change  func(t *testing.T, s *s3server, b *bench)
		request func(r *wire.Request)
		want    wire.Reason
		// restored is what it ends with where links and directories are restored; want, if it is empty.
		restored wire.Reason
	}{
		"as it was exported": {},
		"with an object of the user": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/mine", []byte("of the user"))
		}},
		"an object is where a link was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is below where a link was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link/x", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is where a directory was": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/empty", []byte("of the user"))
		}, restored: wire.SourceChanged},
		"an object is where a link is not selected": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/link/x", []byte("of the user"))
		}, request: func(r *wire.Request) { r.Source.Include = []string{"a", "dir/**"} }},
		"an object is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, want: wire.SourceChanged},
		"an object is another": {change: func(t *testing.T, s *s3server, _ *bench) {
			s.put(t, "runs/1/dir/b", []byte("B"))
		}, want: wire.SourceChanged},
		"one that is not selected is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/dir/b")
		}, request: func(r *wire.Request) { r.Source.Exclude = []string{"dir/b"} }},
		"all of it is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			for _, key := range []string{"a", "dir/b", manifest.Key} {
				remove(t, s, "runs/1/"+key)
			}
			s.put(t, "runs/1/mine", []byte("of the user"))
		}, want: wire.NoSuchObject},
		"the manifest is gone": {change: func(t *testing.T, s *s3server, _ *bench) {
			remove(t, s, "runs/1/"+manifest.Key)
		}, want: wire.NoSuchObject},
		"another run has taken its place": {change: func(_ *testing.T, _ *s3server, b *bench) {
			b.file("a", "other")
			b.request.Export.Run = "run-2"
			b.mustBeDone(b.run())
		}, want: wire.NoSuchObject},
		"the same run says something else": {change: func(t *testing.T, s *s3server, _ *bench) {
			text := s.object(t, "runs/1/"+manifest.Key)
			m, err := manifest.Read(strings.NewReader(text))
			mustDo(t, err)
			m.Entries = m.Entries[:1]
			m.Digest, err = manifest.Digest(m.Entries)
			mustDo(t, err)
			var forged strings.Builder
			mustDo(t, m.Write(&forged))
			s.put(t, "runs/1/"+manifest.Key, []byte(forged.String()))
		}, want: wire.NoSuchObject},
	} {
		for _, attributes := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", with attributes"}[attributes], func(t *testing.T) {
				s := startVersity(t)
				b := newExport(t, s.endpoint)
				b.file("a", "a")
				b.file("dir/b", "b")
				mustDo(t, os.Symlink("a", b.at("link")))
				mustDo(t, os.MkdirAll(b.at("empty/below"), 0o755))
				digest := b.mustBeDone(b.run()).ManifestDigest
				if tt.change != nil {
					tt.change(t, s, b)
				}
				_, r := b.populate(func(r *wire.Request) {
					r.Policy.RestoreAttributes = attributes
					r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
					if tt.request != nil {
						tt.request(r)
					}
				})
				want := tt.want
				if attributes {
					want = cmp.Or(tt.restored, want)
				}
				if r.Reason != want {
					t.Errorf("the report is %+v, want %q", r, want)
				}
			})
		}
	}
}
