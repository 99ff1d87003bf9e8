// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
)

const (
	accessKey = "faults-access"
	secretKey = "se:cr/et+K%41y@x=1"
	bucket    = "bucket"
	region    = "us-east-1"
)

// server is a VersityGW on loopback.
type server struct {
	address string
	dir     string // The bucket's objects as files.
	client  *minio.Client
}

func startServer(t testing.TB) *server {
	t.Helper()
	binary, dir := testenv.Variable(t, "MOVER_TEST_VERSITYGW"), t.TempDir()
	keys := []string{"ROOT_ACCESS_KEY=" + accessKey, "ROOT_SECRET_KEY=" + secretKey}
	address := testenv.Server(t, keys, binary, func(address string) []string {
		return []string{"--port", address, "--keep-alive", "--quiet", "posix", dir}
	})
	client, err := minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(accessKey, secretKey, ""), Region: region,
		// VersityGW leaves the end of an empty upload unread and takes it for the next request.
		Transport: &http.Transport{DisableKeepAlives: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, time.Minute, "the S3 server answers", func() bool {
		err := client.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{})
		return err == nil || minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou"
	})
	return &server{address: address, dir: filepath.Join(dir, bucket), client: client}
}

func waitFor(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(5 * time.Millisecond) //nolint:forbidigo // Between two looks at a process that cannot call.
	}
}

// content has bytes that no other seed has.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b)
	return b
}

// Names of the large objects: one whose checksum S3 tells, and one of which it tells nothing
// but an entity tag.
const (
	withChecksum = "large/checksum.bin"
	withETag     = "large/etag.bin"
	largeSize    = 36 << 20 // Above what the engines treat as small.
)

// small puts n small objects, one of them empty.
func (s *server) small(t testing.TB, n int) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte, n)
	for i := range n {
		key := fmt.Sprintf("small/%d/%03d.bin", i%3, i)
		out[key] = content(uint64(i), i*700)
		s.put(t, key, out[key], minio.PutObjectOptions{SendContentMd5: true})
	}
	return out
}

// data is small objects and both large ones.
func (s *server) data(t testing.TB, n int) map[string][]byte {
	t.Helper()
	out := s.small(t, n)
	maps.Copy(out, s.large(t))
	return out
}

// large puts both large objects.
func (s *server) large(t testing.TB) map[string][]byte {
	t.Helper()
	out := map[string][]byte{withChecksum: content(1<<16, largeSize), withETag: content(1<<17, largeSize+1)}
	parts := minio.PutObjectOptions{PartSize: 8 << 20, SendContentMd5: true}
	s.put(t, withChecksum, out[withChecksum], parts)
	s.put(t, withETag, out[withETag], parts)
	// VersityGW computes the CRC64NVME of the whole object where the client sends none.
	if err := unix.Removexattr(filepath.Join(s.dir, withETag), "user.checksums"); err != nil {
		t.Fatalf("remove the checksum of %s: %v", withETag, err)
	}
	return out
}

func (s *server) put(t testing.TB, key string, body []byte, options minio.PutObjectOptions) {
	t.Helper()
	_, err := s.client.PutObject(t.Context(), bucket, key, bytes.NewReader(body), int64(len(body)), options)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// keyOf is the object that a path-style request is about.
func keyOf(path string) string {
	_, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return key
}
