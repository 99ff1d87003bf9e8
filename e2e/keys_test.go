// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A source may name a thousand objects by keys of 1 KiB, which have nothing in common that
// could be compressed: it is stored, its pod is stored, and its mover is started.
func TestAThousandLongKeys(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	random := rand.New(rand.NewPCG(1, 2))
	data := map[string][]byte{}
	var objects []v1alpha1.S3Object
	for i := range 1000 {
		key := make([]byte, 1024)
		for at := range key {
			key[at] = letters[random.IntN(len(letters))]
			if at%200 == 199 { // A file system takes 255 bytes per name.
				key[at] = '/'
			}
		}
		data[string(key)] = []byte("object")
		objects = append(objects, v1alpha1.S3Object{Key: string(key), Path: fmt.Sprintf("o%03d", i)})
	}
	bucket := s.Bucket(story.VersityGW).Put(data)
	s.Source("source", bucket, func(o *v1alpha1.S3Source) { o.Spec.Objects = objects })
	claim := s.Claim(story.Claim{Source: "source", Size: "64Mi"})
	at := map[string]string{}
	for _, o := range objects {
		at[o.Key] = o.Path
	}
	s.Populated(claim, bucket.Where(func(key string) (string, bool) { return at[key], true }))
}
