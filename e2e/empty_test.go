// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// Empty files and empty directories are data too; nothing at all is a mistake unless the
// source says otherwise.
func TestEmpty(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"SourceEmpty"}
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{
		"set/empty.txt": nil, "set/dir/empty.txt": nil, "set/hollow/": nil, "set/deep/er/hollow/": nil,
		"set/full.txt": []byte("x"),
	})
	s.Source("set", bucket, under("set"))
	s.Source("nothing", bucket, under("nothing"), func(o *v1alpha1.S3Source) { o.Spec.OnEmpty = "Allow" })
	s.Source("mistake", bucket, under("nothing"))
	full := s.Claim(story.Claim{Name: "full", Source: "set"})
	allowed := s.Claim(story.Claim{Name: "allowed", Source: "nothing"})
	s.Claim(story.Claim{Name: "refused", Source: "mistake"})
	s.Populated(full, bucket.Under("set/"))
	s.Populated(allowed, story.Content{})
	s.Condition("refused", "SourceEmpty")
}
