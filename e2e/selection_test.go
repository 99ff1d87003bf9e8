// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"path"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A source selects by globs, by name or by a raw prefix, and says where the data goes;
// the volume holds exactly that.
func TestSelection(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("set/", 24)).Put(map[string][]byte{
		"set/tmp/cache.txt": []byte("t"), "set/a/tmp/x.txt": []byte("t"), "set-2/b.txt": []byte("b"),
		"other/c.bin": []byte("c"),
	})
	below := func(key string) (string, bool) { return strings.CutPrefix(key, "set/") }
	tests := map[string]struct {
		change func(*v1alpha1.S3Source)
		want   story.Content
	}{
		"filters": {func(o *v1alpha1.S3Source) {
			o.Spec.Prefix, o.Spec.Include, o.Spec.Exclude = "set/", []string{"**/*.txt"}, []string{"**/tmp/**", "*plain*"}
		}, bucket.Where(func(key string) (string, bool) {
			p, ok := below(key)
			hidden := strings.Contains("/"+p, "/tmp/") || !strings.Contains(p, "/") && strings.Contains(p, "plain")
			return p, ok && path.Ext(p) == ".txt" && !hidden
		})},
		"target": {func(o *v1alpha1.S3Source) {
			o.Spec.Prefix, o.Spec.TargetPath = "set", "models/beta"
		}, bucket.Under("set/").In("models/beta")},
		"objects": {func(o *v1alpha1.S3Source) {
			o.Spec.Objects = []v1alpha1.S3Object{{Key: "set-2/b.txt"}, {Key: "other/c.bin", Path: "weights/model.bin"}}
		}, bucket.Where(func(key string) (string, bool) {
			at := map[string]string{"set-2/b.txt": "set-2/b.txt", "other/c.bin": "weights/model.bin"}
			return at[key], at[key] != ""
		})},
		"objects-below": {func(o *v1alpha1.S3Source) {
			o.Spec.Objects, o.Spec.TargetPath = []v1alpha1.S3Object{{Key: "other/c.bin", Path: "c.bin"}}, "deep"
		}, bucket.Under("other/").In("deep")},
		"literal": {func(o *v1alpha1.S3Source) {
			o.Spec.Prefix, o.Spec.PrefixMode = "set-", "Literal"
		}, bucket.Where(func(key string) (string, bool) { return key, strings.HasPrefix(key, "set-") })},
	}
	for name, test := range tests {
		s.Source(name, bucket, test.change)
		s.Claim(story.Claim{Name: name, Source: name})
	}
	for name, test := range tests {
		if len(test.want) == 0 {
			t.Fatalf("%s: the story selects nothing", name)
		}
		claim, _ := s.Bound(name)
		s.AssertContent(s.Reader(claim), test.want)
	}
}
