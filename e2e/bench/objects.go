// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/story"
)

const (
	sourceName = "tiny"
	bucket     = "bench"
	secretName = "s3-keys"
	// patience ends a measurement that would never end.
	patience = 10 * time.Minute
)

// namespace makes one, and waits until pods may be made in it.
func (b *bench) namespace(ctx context.Context, name string) error {
	made := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := b.world.Client.Create(ctx, made); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return poll(ctx, "the default ServiceAccount", func() (bool, error) {
		err := b.world.Client.Get(ctx, client.ObjectKey{Namespace: name, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, client.IgnoreNotFound(err)
	})
}

func (b *bench) claim(namespace, name string, c story.Claim) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: c.Spec()}
}

// secret makes the keys of the S3 server known in a namespace.
func (b *bench) secret(ctx context.Context, namespace string) error {
	server, err := b.world.Server(story.VersityGW) //nolint:contextcheck // The server outlives whoever asks first.
	if err != nil {
		return err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secretName},
		StringData: map[string]string{"access_key": server.AccessKey, "secret_key": server.SecretKey},
	}
	if err := b.world.Client.Create(ctx, secret); err != nil {
		return fmt.Errorf("create secret: %w", err)
	}
	return nil
}

func credentialsOf(secret string) *v1alpha1.Credentials {
	return &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: secret}}
}

// upload makes the one small object.
func (b *bench) upload(ctx context.Context, server *node.S3Server) error {
	u, err := url.Parse(server.Endpoint)
	if err != nil {
		return fmt.Errorf("parse endpoint: %w", err)
	}
	s3, err := minio.New(u.Host, &minio.Options{
		Creds:     credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
		Transport: server.Transport(b.world.Node), Region: story.Region, BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		return fmt.Errorf("make an S3 client: %w", err)
	}
	if exists, err := s3.BucketExists(ctx, bucket); err != nil || !exists {
		if err := s3.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: story.Region}); err != nil {
			return fmt.Errorf("make bucket: %w", err)
		}
	}
	body := strings.NewReader(object)
	if _, err := s3.PutObject(ctx, bucket, fileName, body, body.Size(), minio.PutObjectOptions{}); err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	return nil
}

// source makes a source of one small object and waits for its inventory, which is not
// what is measured.
func (b *bench) source(ctx context.Context, namespace string) (*v1alpha1.S3Source, error) {
	server, err := b.world.Server(story.VersityGW) //nolint:contextcheck // The server outlives whoever asks first.
	if err != nil {
		return nil, err
	}
	if err := errors.Join(b.upload(ctx, server), b.secret(ctx, namespace)); err != nil {
		return nil, err
	}
	source := &v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: sourceName},
		Spec: v1alpha1.S3SourceSpec{S3Location: v1alpha1.S3Location{
			Endpoint: server.Endpoint, Bucket: bucket, Credentials: credentialsOf(secretName),
		}},
	}
	if err := b.world.Client.Create(ctx, source); err != nil {
		return nil, fmt.Errorf("create the source: %w", err)
	}
	return source, poll(ctx, "the source to be ready", func() (bool, error) {
		err := b.world.Client.Get(ctx, client.ObjectKeyFromObject(source), source)
		return meta.IsStatusConditionTrue(source.Status.Conditions, v1alpha1.ConditionReady), err
	})
}

// remove deletes a namespace and waits until it and its volumes are gone, so that one
// measurement does not pay for another.
func (b *bench) remove(ctx context.Context, namespace string) error {
	if err := b.world.Client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return fmt.Errorf("delete namespace: %w", err)
	}
	return poll(ctx, "namespace "+namespace+" to go", func() (bool, error) {
		err := b.world.Client.Get(ctx, client.ObjectKey{Name: namespace}, &corev1.Namespace{})
		if !apierrors.IsNotFound(err) {
			return false, err
		}
		var volumes corev1.PersistentVolumeList
		err = b.world.Client.List(ctx, &volumes)
		return len(volumes.Items) == 0, err
	})
}

// poll is for what is not measured.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// awaitAll watches until n different objects are done. A watch that the API server ends is
// begun again.
func awaitAll[T interface {
	runtime.Object
	metav1.Object
}](ctx context.Context, begin func(context.Context) (watch.Interface, error), n int, done func(T) bool,
) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < n {
		from, err := begin(ctx)
		if err != nil {
			return fmt.Errorf("%d of %d are done: watch: %w", len(seen), n, err)
		}
		for e := range from.ResultChan() {
			if o, ok := e.Object.(T); ok && done(o) {
				seen[o.GetName()] = true
			}
			if len(seen) == n {
				break
			}
		}
		from.Stop()
	}
	return nil
}

// boundClaims watches the claims of users.
func (b *bench) boundClaims(ctx context.Context, namespace string, n int) error {
	return awaitAll(ctx, func(ctx context.Context) (watch.Interface, error) {
		return b.world.Kube.CoreV1().PersistentVolumeClaims(
			namespace,
		).Watch(
			ctx,
			metav1.ListOptions{LabelSelector: "!" + v1alpha1.LabelRole},
		)
	}, n, func(c *corev1.PersistentVolumeClaim) bool { return c.Status.Phase == corev1.ClaimBound })
}
