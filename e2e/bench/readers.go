// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/e2e/story"
)

// entry is one line of what a reader found on its volume.
type entry struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Mode   string `json:"mode"`
}

// readers are n more pods, one for each claim, that read the whole volume. It returns how long
// they took, in seconds, and fails where a volume does not hold what it must.
func (b *bench) readers(ctx context.Context, namespace string, n int, judge func([]entry) error) (float64, error) {
	const role = "bench/role"
	began := time.Now()
	for i := range n {
		pod := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: namespace, Name: "read-" + claimName(i), Labels: map[string]string{role: "reader"},
			},
			Spec: story.PodSpec(claimName(i), false, false, "sha256", story.MountPath),
		}
		if err := b.world.Client.Create(ctx, pod); err != nil {
			return 0, fmt.Errorf("create reader: %w", err)
		}
	}
	if err := b.endedPods(ctx, namespace, role+"=reader", "probe", n); err != nil {
		return 0, err
	}
	took := time.Since(began).Seconds()
	fmt.Fprintf(b.out, "  read after %.1f s more\n", took)
	for i := range n {
		if err := b.judgeReader(ctx, namespace, "read-"+claimName(i), judge); err != nil {
			return 0, err
		}
	}
	return took, nil
}

func (b *bench) judgeReader(ctx context.Context, namespace, name string, judge func([]entry) error) error {
	text, err := b.world.Kube.CoreV1().Pods(namespace).GetLogs(name, &corev1.PodLogOptions{}).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("read the log of %s: %w", name, err)
	}
	var found []entry
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var e entry
		err := d.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read the list of %s: %w", name, err)
		}
		found = append(found, e)
	}
	if err := judge(found); err != nil {
		return fmt.Errorf("volume of %s/%s: %w", namespace, name, err)
	}
	return nil
}

// holds expects one regular file of that name with that text, and nothing else.
func holds(name, text string) func([]entry) error {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	return func(found []entry) error {
		if len(found) == 1 && found[0].Path == name && found[0].SHA256 == sum && strings.HasPrefix(found[0].Mode, "-") {
			return nil
		}
		return fmt.Errorf("it holds %+v, want the one file %s with the text %q", found, name, text)
	}
}
