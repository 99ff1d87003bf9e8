// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/story"
)

const (
	bucket = "datasets"
	prefix = "imagenet/"
	// smallObjects and large make 2,001 objects; the large one is 256 MiB.
	smallObjects = 2000
	large        = 256 << 20
	uploaders    = 8
)

// dataset is what the bucket holds below the prefix: path -> sha256.
type dataset struct {
	server  *node.S3Server
	objects map[string]string
	bytes   int64
}

// fillBucket uploads the data set, and an object beside the prefix that must not come along.
func (d *demo) fillBucket(ctx context.Context) (*dataset, error) {
	server, err := d.world.Server(story.VersityGW) //nolint:contextcheck // The server outlives whoever asks first.
	if err != nil {
		return nil, err
	}
	s3, err := d.client(server)
	if err != nil {
		return nil, err
	}
	if exists, err := s3.BucketExists(ctx, bucket); err != nil || !exists {
		if err := s3.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: story.Region}); err != nil {
			return nil, fmt.Errorf("make bucket: %w", err)
		}
	}
	content := story.Mixed("", smallObjects)
	content["weights/model.bin"] = story.Bytes(7, large)
	data := &dataset{server: server, objects: map[string]string{}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploaders)
	for _, path := range slices.Sorted(maps.Keys(content)) {
		body := content[path]
		sum := sha256.Sum256(body)
		data.objects[path], data.bytes = hex.EncodeToString(sum[:]), data.bytes+int64(len(body))
		group.Go(func() error { return put(ctx, s3, prefix+path, body) })
	}
	group.Go(func() error { return put(ctx, s3, "imagenet2/not-ours.txt", []byte("beside the prefix")) })
	if err := group.Wait(); err != nil {
		return nil, err
	}
	fmt.Fprintf(
		d.out,
		"         %d objects, %d MiB, uploaded to %s/%s\n",
		len(data.objects),
		data.bytes>>20,
		bucket,
		prefix,
	)
	return data, nil
}

func (d *demo) client(server *node.S3Server) (*minio.Client, error) {
	u, err := url.Parse(server.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("parse endpoint: %w", err)
	}
	s3, err := minio.New(u.Host, &minio.Options{
		Creds: credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""), Transport: server.Transport(d.world.Node),
		Region: story.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return nil, fmt.Errorf("make an S3 client: %w", err)
	}
	return s3, nil
}

func put(ctx context.Context, s3 *minio.Client, key string, body []byte) error {
	_, err := s3.PutObject(
		ctx,
		bucket,
		key,
		bytes.NewReader(body),
		int64(len(body)),
		minio.PutObjectOptions{PartSize: 16 << 20},
	)
	if err != nil {
		return fmt.Errorf("upload %s: %w", key, err)
	}
	return nil
}

// patience is how long a claim may take on a slow machine.
const patience = 10 * time.Minute
