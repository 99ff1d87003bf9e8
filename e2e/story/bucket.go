// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/e2e/cluster/node"
)

// Bucket is a story's own, and remembers what was put into it.
type Bucket struct {
	Name   string
	Server *node.S3Server

	story *Story
	s3    *minio.Client
	mu    sync.Mutex
	held  map[string]Object // by key
}

// Object is what a key holds.
type Object struct {
	Size   int64
	SHA256 string
}

// Bucket makes one on a server.
func (s *Story) Bucket(on Server) *Bucket {
	s.T.Helper()
	server, err := s.World.Server(on)
	s.must("start "+string(on), err)
	s.buckets++
	return s.BucketOf(server, s.Namespace+"-"+string(rune('a'+s.buckets-1)))
}

// BucketOf makes one of a name on a server of the story's own.
func (s *Story) BucketOf(server *node.S3Server, name string) *Bucket {
	s.T.Helper()
	c, err := s.World.s3(server)
	s.must("make an S3 client", err)
	b := &Bucket{Name: name, Server: server, story: s, s3: c, held: map[string]Object{}}
	s.must("make bucket "+b.Name, c.MakeBucket(s.T.Context(), b.Name, minio.MakeBucketOptions{Region: Region}))
	s.T.Cleanup(b.checkUploads)
	return b
}

// uploaders is enough to keep two cores busy with small objects.
const uploaders = 8

// Put uploads objects, several at a time.
func (b *Bucket) Put(objects map[string][]byte) *Bucket {
	b.story.T.Helper()
	keys := make(chan string)
	errs := make(chan error, uploaders)
	for range uploaders {
		go func() {
			var failed error
			for key := range keys {
				if failed == nil {
					failed = b.put(b.story.T.Context(), key, objects[key])
				}
			}
			errs <- failed
		}()
	}
	for key := range objects {
		keys <- key
	}
	close(keys)
	for range uploaders {
		b.story.must("upload to "+b.Name, <-errs)
	}
	return b
}

// multipart is the size of an object from which it is uploaded in parts of the least
// size that S3 allows, so that its ETag is no MD5.
const multipart = 8 << 20

func (b *Bucket) put(ctx context.Context, key string, content []byte) error {
	options := minio.PutObjectOptions{DisableMultipart: true}
	if len(content) >= multipart {
		options = minio.PutObjectOptions{PartSize: 5 << 20}
	}
	if _, err := b.s3.PutObject(ctx, b.Name, key, bytes.NewReader(content), int64(len(content)), options); err != nil {
		return err
	}
	sum := sha256.Sum256(content)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held[key] = Object{Size: int64(len(content)), SHA256: hex.EncodeToString(sum[:])}
	return nil
}

// Overwritten puts an object twice into a bucket that keeps versions, and returns the version
// that is the older one. What the bucket holds for the story is that version.
func (b *Bucket) Overwritten(key string, older, newer []byte) (version string) {
	b.story.T.Helper()
	ctx := b.story.T.Context()
	b.story.must("keep versions in "+b.Name, b.s3.EnableVersioning(ctx, b.Name))
	b.story.must("upload "+key, b.put(ctx, key, older))
	info, err := b.s3.StatObject(ctx, b.Name, key, minio.StatObjectOptions{})
	b.story.must("ask for "+key, err)
	_, err = b.s3.PutObject(ctx, b.Name, key, bytes.NewReader(newer), int64(len(newer)), minio.PutObjectOptions{})
	b.story.must("overwrite "+key, err)
	return info.VersionID
}

func (b *Bucket) remove(ctx context.Context, key string) error {
	if err := b.s3.RemoveObject(ctx, b.Name, key, minio.RemoveObjectOptions{}); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held, key)
	return nil
}

// OverwrittenBy is a fault: the first request of a kind finds other content than was listed.
func (b *Bucket) OverwrittenBy(of func(*http.Request) bool, key string, content []byte) Fault {
	return Fault{Of: of, Times: 1, Do: func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		if err := b.put(r.Context(), key, content); err != nil {
			b.story.T.Errorf("overwrite %s: %v", key, err)
		}
		honest.ServeHTTP(w, r)
	}}
}

// RemovedBy is a fault: the first request of a kind finds an object gone that was listed.
func (b *Bucket) RemovedBy(of func(*http.Request) bool, key string) Fault {
	return Fault{Of: of, Times: 1, Do: func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		if err := b.remove(r.Context(), key); err != nil {
			b.story.T.Errorf("remove %s: %v", key, err)
		}
		honest.ServeHTTP(w, r)
	}}
}

// AllowAnyone lets anonymous clients list and read the bucket.
func (b *Bucket) AllowAnyone() *Bucket {
	b.story.T.Helper()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetBucketLocation","s3:ListBucket"],"Resource":["arn:aws:s3:::BUCKET"]},` +
		`{"Effect":"Allow","Principal":{"AWS":["*"]},"Action":["s3:GetObject"],"Resource":["arn:aws:s3:::BUCKET/*"]}]}`
	b.story.must(
		"open bucket "+b.Name,
		b.s3.SetBucketPolicy(b.story.T.Context(), b.Name, strings.ReplaceAll(policy, "BUCKET", b.Name)),
	)
	return b
}

// Under is what a volume must hold that is filled from a prefix.
func (b *Bucket) Under(prefix string) Content {
	return b.Where(func(key string) (string, bool) { return strings.CutPrefix(key, prefix) })
}

// Where is what a volume must hold when each key goes to the path that choose gives
// it, if it does.
func (b *Bucket) Where(choose func(key string) (path string, ok bool)) Content {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := Content{}
	for key, object := range b.held {
		if path, ok := choose(key); ok && path != "" {
			c[path] = object
		}
	}
	return c
}

// Total is the sum of all objects' sizes.
func (b *Bucket) Total() (sum int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range b.held {
		sum += o.Size
	}
	return sum
}

// checkUploads asserts that reading left no upload behind.
func (b *Bucket) checkUploads() {
	for u := range b.s3.ListIncompleteUploads(context.Background(), b.Name, "", true) {
		if u.Err != nil {
			b.story.T.Errorf("list uploads of bucket %s: %v", b.Name, u.Err)
			return
		}
		b.story.T.Errorf("bucket %s has an upload of %s that nobody completed", b.Name, u.Key)
	}
}
