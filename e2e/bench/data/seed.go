// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/story"
)

// object is what a copy is compared with.
type object struct {
	Key    string `json:"key"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// partSize of objects that are uploaded in parts.
const partSize = 16 * story.MiB

// layout changes when the same shapes give other data on the servers.
const layout = 1

// dataset is a content as one server keeps it.
type dataset struct {
	content
	kind   serverKind
	binary string // Of the server.
	dir    string // Of the server's files, and of the manifest.
	all    []shape
}

// dataset names the directory by everything that decides what is in it.
func (b *bench) dataset(c content, kind serverKind) (*dataset, error) {
	d := &dataset{content: c, kind: kind, binary: b.binaries[string(kind)], all: c.shapes(b.short)}
	text, err := json.Marshal(d.all)
	if err != nil {
		return nil, err
	}
	build := filepath.Base(filepath.Dir(d.binary)) // The key of the server's own sources.
	key := sha256.Sum256(fmt.Appendf(text, "%s %s %s %v %d %d", kind, build, c.name, c.crc, partSize, layout))
	d.dir = filepath.Join(b.cache, "bench-data", fmt.Sprintf("%s-%s-%s", kind, c.name, hex.EncodeToString(key[:8])))
	return d, nil
}

func (d *dataset) manifest() string { return filepath.Join(d.dir, "manifest.json") }

// start serves the data.
func (d *dataset) start(ctx context.Context, keepAlive bool) (*server, error) {
	return startServer(ctx, d.kind, d.binary, filepath.Join(d.dir, "data"), keepAlive)
}

// seed makes the data, once, and returns what it is.
func (d *dataset) seed(ctx context.Context) ([]object, error) {
	if objects, err := readObjects(d.manifest()); err == nil {
		return objects, nil
	}
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, fmt.Errorf("remove data that is not whole: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(d.dir, "data"), 0o755); err != nil {
		return nil, fmt.Errorf("make a directory for the server: %w", err)
	}
	s, err := d.start(ctx, true)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	objects, err := s.upload(ctx, d.all)
	if err != nil {
		return nil, fmt.Errorf("upload: %w", err)
	}
	if err := s.checkSums(ctx, d, objects); err != nil {
		return nil, err
	}
	text, err := json.Marshal(objects)
	if err != nil {
		return nil, err
	}
	return objects, os.WriteFile(d.manifest(), text, 0o644)
}

// upload puts all objects and hashes them as they pass.
func (s *server) upload(ctx context.Context, shapes []shape) ([]object, error) {
	client, err := s.client()
	if err != nil {
		return nil, err
	}
	if err := client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: story.Region}); err != nil {
		return nil, err
	}
	options := minio.PutObjectOptions{PartSize: partSize, SendContentMd5: true}
	objects := make([]object, len(shapes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for i, sh := range shapes {
		group.Go(func() error {
			hash := sha256.New()
			body := io.TeeReader(io.LimitReader(stream(sh.Seed), sh.Size), hash)
			if _, err := client.PutObject(ctx, bucket, sh.Key, body, sh.Size, options); err != nil {
				return fmt.Errorf("put %s: %w", sh.Key, err)
			}
			objects[i] = object{Key: sh.Key, Size: sh.Size, SHA256: hex.EncodeToString(hash.Sum(nil))}
			return nil
		})
	}
	return objects, group.Wait()
}

// stream never ends and does not compress.
func stream(seed uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// checkSums makes sure that S3 says of the objects what the set promises.
func (s *server) checkSums(ctx context.Context, d *dataset, objects []object) error {
	client, err := s.client()
	if err != nil {
		return err
	}
	for _, o := range objects {
		if d.kind == versityGW && !d.crc {
			// VersityGW computes the CRC64NVME of the whole object where the client sent none.
			err := unix.Removexattr(filepath.Join(s.root, bucket, o.Key), "user.checksums")
			if err != nil && !errors.Is(err, unix.ENODATA) {
				return fmt.Errorf("remove the checksum of %s: %w", o.Key, err)
			}
		}
	}
	first := objects[0].Key
	info, err := client.StatObject(ctx, bucket, first, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return fmt.Errorf("head %s: %w", first, err)
	}
	said := info.ChecksumCRC64NVME + info.ChecksumCRC32C + info.ChecksumCRC32 + info.ChecksumSHA1 + info.ChecksumSHA256
	if d.crc != (said != "") || said != info.ChecksumCRC64NVME {
		return fmt.Errorf("the server says the checksum %q of %s, which set %s does not expect", said, first, d.name)
	}
	return nil
}
