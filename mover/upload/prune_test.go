// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/manifest"
)

func TestFateOf(t *testing.T) {
	complete := time.Unix(1e9, 0)
	entry := manifest.Entry{Path: "f", Type: manifest.File, Size: 3, ETag: "e"}
	untagged := entry
	untagged.ETag = ""
	same := minio.ObjectInfo{Size: 3, ETag: "e", LastModified: complete.Add(-time.Hour)}
	change := func(f func(*minio.ObjectInfo)) minio.ObjectInfo {
		o := same
		f(&o)
		return o
	}
	for name, tt := range map[string]struct {
		entry manifest.Entry
		there bool
		info  minio.ObjectInfo
		want  fate
	}{
		"as it was listed":  {entry, true, same, goes},
		"with a quoted tag": {entry, true, change(func(o *minio.ObjectInfo) { o.ETag = `"e"` }), goes},
		"not there":         {entry, false, minio.ObjectInfo{}, wasGone},
		"another tag":       {entry, true, change(func(o *minio.ObjectInfo) { o.ETag = "f" }), changed},
		"no tag":            {entry, true, change(func(o *minio.ObjectInfo) { o.ETag = "" }), changed},
		"another size":      {entry, true, change(func(o *minio.ObjectInfo) { o.Size = 4 }), changed},
		"none was listed":   {untagged, true, change(func(o *minio.ObjectInfo) { o.ETag = "" }), changed},
		"the same bytes, written after the manifest": {
			entry, true, change(func(o *minio.ObjectInfo) { o.LastModified = complete.Add(time.Hour) }), changed,
		},
		"written at the same time, by clocks that differ": {
			entry, true, change(func(o *minio.ObjectInfo) { o.LastModified = complete.Add(10 * time.Second) }), goes,
		},
	} {
		p := &prune{complete: complete}
		if got := p.fateOf(tt.entry, tt.there, tt.info); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestAbove(t *testing.T) {
	for prefix, want := range map[string][]string{
		"a/": {""}, "a/b/": {"", "a/"}, "/a/": {"", "/"}, "a//b/": {"", "a/", "a//"},
	} {
		if diff := cmp.Diff(want, above(prefix)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", prefix, diff)
		}
	}
}
