// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

const (
	exportName = "results"
	// added is a file that a pod writes after the claim is Bound, of so many bytes.
	added     = "results/added.bin"
	addedSize = "3145728"
)

// exportBack lets a pod write a file and stay, exports the claim meanwhile, and compares the bucket with
// the objects that the volume was filled from and that file. It returns what was exported.
func (d *demo) exportBack(ctx context.Context, data *dataset) (*v1alpha1.S3Export, error) {
	writer, err := d.startWriter(ctx)
	if err != nil {
		return nil, err
	}
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: exportName}}
	e.Spec.ClaimName = claimName
	e.Spec.Destination.S3Location = v1alpha1.S3Location{
		Endpoint: data.server.Endpoint, Bucket: bucket,
		Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3-keys"}},
	}
	if err := d.world.Client.Create(ctx, e); err != nil {
		return nil, fmt.Errorf("create S3Export: %w", err)
	}
	if err := d.awaitExported(ctx, e); err != nil {
		return nil, err
	}
	d.step("every object of the export is read back")
	if err := d.compareBucket(ctx, data, e.Status.Prefix); err != nil {
		return nil, err
	}
	if err := d.world.Client.Delete(ctx, writer); err != nil {
		return nil, fmt.Errorf("delete writer: %w", err)
	}
	return e, nil
}

// startWriter makes a pod that adds a file and then uses the claim until it is deleted.
func (d *demo) startWriter(ctx context.Context) (*corev1.Pod, error) {
	spec := story.PodSpec(claimName, false, false, "sleep")
	first := *spec.Containers[0].DeepCopy()
	first.Name, first.Args = "write", []string{"write", story.MountPath + "/" + added, addedSize}
	spec.InitContainers = []corev1.Container{first}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "writer"}, Spec: spec}
	if err := d.world.Client.Create(ctx, pod); err != nil {
		return nil, fmt.Errorf("create writer: %w", err)
	}
	return pod, d.until(ctx, "the writer to run", func() (bool, error) {
		if err := d.world.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return false, fmt.Errorf("read writer: %w", err)
		}
		return pod.Status.Phase == corev1.PodRunning, nil
	})
}

func (d *demo) awaitExported(ctx context.Context, e *v1alpha1.S3Export) error {
	last := ""
	return d.until(ctx, "the export to be complete", func() (bool, error) {
		if err := d.world.Client.Get(ctx, client.ObjectKeyFromObject(e), e); err != nil {
			return false, fmt.Errorf("read S3Export: %w", err)
		}
		c := meta.FindStatusCondition(e.Status.Conditions, v1alpha1.ConditionComplete)
		if c == nil {
			return false, nil
		}
		line := fmt.Sprintf("export %-9s  %s", e.Status.Phase, c.Reason)
		if p := e.Status.Progress; p != nil {
			line = fmt.Sprintf("export %-9s  %3d%%  %s objects  %s bytes",
				e.Status.Phase, p.Percent, p.Objects.Text, p.Bytes.Text)
		}
		if line != last {
			last = line
			d.step(line)
		}
		if e.Status.Phase == v1alpha1.ExportFailed {
			return false, fmt.Errorf("the export failed: %s: %s", c.Reason, c.Message)
		}
		return c.Status == metav1.ConditionTrue, nil
	})
}

// compareBucket reads everything below the prefix of the export, but for what it keeps itself.
func (d *demo) compareBucket(ctx context.Context, data *dataset, below string) error {
	s3, err := d.client(data.server)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	sums := map[string]string{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(uploaders)
	for o := range s3.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: below, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("list the export: %w", o.Err)
		}
		path := strings.TrimPrefix(o.Key, below)
		if strings.HasPrefix(path, ".s3populator/") {
			continue
		}
		group.Go(func() error {
			sum, err := sumOf(ctx, s3, o.Key)
			mu.Lock()
			defer mu.Unlock()
			sums[path] = sum
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return differ(data.objects, sums)
}

func sumOf(ctx context.Context, s3 *minio.Client, key string) (string, error) {
	o, err := s3.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", fmt.Errorf("get %s: %w", key, err)
	}
	defer func() { _ = o.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, o); err != nil {
		return "", fmt.Errorf("get %s: %w", key, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// differ names an object that is missing, differs, or should not be there.
func differ(want, got map[string]string) error {
	for path, sum := range want {
		if got[path] != sum {
			return fmt.Errorf("%s has sha256 %q in the export, and %s where it came from", path, got[path], sum)
		}
	}
	if _, ok := got[added]; !ok || len(got) != len(want)+1 {
		return fmt.Errorf("the export has %d objects, want %d and %s", len(got), len(want), added)
	}
	return nil
}
