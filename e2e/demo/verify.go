// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/story"
)

// verify lets a pod of another user read the volume and compares every file with what
// was uploaded.
func (d *demo) verify(ctx context.Context, claim *corev1.PersistentVolumeClaim, data *dataset) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "reader", Namespace: namespace},
		Spec:       story.PodSpec(claim.Name, false, false, "sha256", story.MountPath),
	}
	if err := d.world.Client.Create(ctx, pod); err != nil {
		return fmt.Errorf("create reader: %w", err)
	}
	err := d.until(ctx, "the reader to end", func() (bool, error) {
		if err := d.world.Client.Get(ctx, client.ObjectKeyFromObject(pod), pod); err != nil {
			return false, fmt.Errorf("read reader: %w", err)
		}
		if pod.Status.Phase == corev1.PodFailed {
			return false, errors.New("the reader failed")
		}
		return pod.Status.Phase == corev1.PodSucceeded, nil
	})
	if err != nil {
		return err
	}
	listing, err := d.world.Kube.CoreV1().Pods(namespace).GetLogs(pod.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("read the reader's output: %w", err)
	}
	if err := d.world.Client.Delete(ctx, pod); err != nil {
		return fmt.Errorf("delete reader: %w", err)
	}
	return compare(listing, data.objects)
}

// compare names the first file that is missing, differs, or should not be there.
func compare(listing []byte, objects map[string]string) error {
	left := maps.Clone(objects)
	for lines := json.NewDecoder(bytes.NewReader(listing)); ; {
		var file struct{ Path, SHA256, Mode string }
		err := lines.Decode(&file)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the reader's output: %w", err)
		}
		if file.Mode != "" && file.Mode[0] == 'd' {
			continue
		}
		want, ok := left[file.Path]
		if !ok {
			return fmt.Errorf("%s is on the volume and not in the bucket", file.Path)
		}
		if file.SHA256 != want {
			return fmt.Errorf("%s has sha256 %s, its object %s", file.Path, file.SHA256, want)
		}
		delete(left, file.Path)
	}
	if len(left) > 0 {
		return fmt.Errorf(
			"%d objects are missing on the volume, the first is %s",
			len(left),
			slices.Min(slices.Collect(maps.Keys(left))),
		)
	}
	return nil
}
