// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
)

// filler is a text that does not end.
type filler struct{}

func (filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestAManifestThatIsTooLongIsNotReadOn, nor once more: somebody may have written terabytes.
func TestAManifestThatIsTooLongIsNotReadOn(t *testing.T) {
	t.Parallel()
	const all, most = 64 << 20, 20 << 20
	rest := &io.LimitedReader{R: filler{}, N: all}
	said := minio.ObjectInfo{ETag: "d41d8cd98f00b204e9800998ecf8427e"}
	text := io.MultiReader(strings.NewReader(`{"schemaVersion":1,"run":"`), rest)
	err := (&sender{}).readProven(text, said, func(from io.Reader) error {
		_, err := manifest.Read(from)
		return err
	})
	if !errors.Is(err, errUnreadable) || errors.Is(err, errDamaged) || !errors.Is(err, manifest.ErrTooLong) {
		t.Errorf("it ends with %v", err)
	}
	if read := all - rest.N; read > most {
		t.Errorf("%d bytes are read of it", read)
	}
}

// TestTheSameManifest is told by all that both answers say: some gateways tell an entity tag with the content alone, or
// none at all, and then a run that took the place of another one is told by when it was stored, and by its size.
func TestTheSameManifest(t *testing.T) {
	t.Parallel()
	stored := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	one := minio.ObjectInfo{ETag: `"e"`, Size: 3, LastModified: stored}
	for name, tt := range map[string]struct {
		change func(o *minio.ObjectInfo)
		want   bool
	}{
		"as it was":      {func(*minio.ObjectInfo) {}, true},
		"without quotes": {func(o *minio.ObjectInfo) { o.ETag = "e" }, true},
		"without a tag":  {func(o *minio.ObjectInfo) { o.ETag = "" }, true},
		"without a size": {func(o *minio.ObjectInfo) { o.Size = -1 }, true},
		"another tag":    {func(o *minio.ObjectInfo) { o.ETag = "f" }, false},
		"another size":   {func(o *minio.ObjectInfo) { o.Size = 4 }, false},
		"stored later":   {func(o *minio.ObjectInfo) { o.LastModified = stored.Add(time.Second) }, false},
		"stored at that time, as it is elsewhere": {
			func(o *minio.ObjectInfo) { o.LastModified = stored.In(time.FixedZone("", 3600)) }, true,
		},
		"stored later, without a tag": {
			func(o *minio.ObjectInfo) { o.ETag, o.LastModified = "", stored.Add(time.Second) }, false,
		},
		"of another size, without a tag": {func(o *minio.ObjectInfo) { o.ETag, o.Size = "", 4 }, false},
	} {
		other := one
		tt.change(&other)
		if a, b := seenOf(one).Is(seenOf(other)), seenOf(other).Is(seenOf(one)); a != tt.want || b != tt.want {
			t.Errorf("%s: they are the same: %v and %v, want %v", name, a, b, tt.want)
		}
	}
	if seenOf(one).Is(Seen{}) || !(Seen{}).Is(Seen{}) {
		t.Error("one that is there is one that is not, or two that are not are not the same")
	}
}
