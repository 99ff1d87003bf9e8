// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// podLogs keeps what movers and managers say, because a mover that succeeded is deleted at
// once, and a manager that is replaced too. It is called by one watch at a time.
type podLogs struct {
	kube             kubernetes.Interface
	movers, managers string // directories
	started          map[string]bool
}

// follow copies the log of a mover or a manager into a file, once its container has begun, and
// again when it was restarted.
func (m *podLogs) follow(ctx context.Context, pod *corev1.Pod) {
	dir, container := m.movers, moverpod.ContainerName
	switch {
	case isManager(pod):
		dir, container = m.managers, managerContainer
	case pod.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return
	}
	for _, c := range pod.Status.ContainerStatuses {
		key := fmt.Sprintf("%s_%s_%.8s_%d.log", pod.Namespace, pod.Name, pod.UID, c.RestartCount)
		if c.Name == container && (c.State.Running != nil || c.State.Terminated != nil) && !m.started[key] {
			m.started[key] = true
			go m.copy(ctx, pod.DeepCopy(), container, filepath.Join(dir, key))
		}
	}
}

// copy is best effort: a pod may be gone before its log is asked for.
func (m *podLogs) copy(ctx context.Context, pod *corev1.Pod, container, path string) {
	stream, err := m.kube.CoreV1().Pods(
		pod.Namespace,
	).GetLogs(
		pod.Name,
		&corev1.PodLogOptions{Container: container, Follow: true},
	).Stream(
		ctx,
	)
	if err != nil {
		return
	}
	defer func() { _ = stream.Close() }()
	f, err := os.Create(path)
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	_, _ = io.Copy(f, stream)
}

// moverTails shows how the logs of a namespace's movers end.
func (w *World) moverTails(namespace string) string {
	const lines = 15
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(w.moverLogDir(), namespace+"_*.log"))
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		all := strings.Split(strings.TrimSpace(string(text)), "\n")
		fmt.Fprintf(&out, "log of mover %s:\n  %s\n", filepath.Base(path), strings.Join(all[max(0, len(all)-lines):], "\n  "))
	}
	return out.String()
}
