// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// podLogs keeps what movers and managers say, because a mover that succeeded is deleted at
// once, and a manager that is replaced too. It is called by one watch at a time.
type podLogs struct {
	kube             kubernetes.Interface
	movers, managers string // directories
	started          map[string]bool

	mu        sync.Mutex
	ran, kept int
	lost      map[string][]string // by namespace: what was not kept, and why
}

const (
	// logTries and logPause are how long a log is asked for that the API server cannot give.
	logTries = 10
	logPause = 300 * time.Millisecond
	// atOnce is how soon after its container was seen to have begun a pod may be gone before its log was asked for: a
	// mover that has little to do is deleted by then. A watch that is behind shows the begin of one that is gone.
	atOnce = 10 * time.Second
)

// follow copies the log of a mover or a manager into a file, once its container has begun, and
// again when it was restarted.
func (m *podLogs) follow(ctx context.Context, pod *corev1.Pod) {
	dir, container := m.movers, moverpod.ContainerName
	switch {
	case pod.Spec.NodeName != rundir.NodeName: // a story made that node up
		return
	case isManager(pod):
		dir, container = m.managers, managerContainer
	case pod.Labels[v1alpha1.LabelManagedBy] != v1alpha1.ManagedBy:
		return
	}
	for _, c := range pod.Status.ContainerStatuses {
		key := fmt.Sprintf("%s_%s_%.8s_%d.log", pod.Namespace, pod.Name, pod.UID, c.RestartCount)
		if c.Name == container && ran(c.State) && !m.started[key] {
			m.started[key] = true
			go m.keep(ctx, pod.Namespace, filepath.Join(dir, key), time.Now(), m.reader(ctx, pod.DeepCopy(), container))
		}
	}
}

// ran tells that a container has begun. Of one that was never there the kubelet tells an end alone.
func ran(state corev1.ContainerState) bool {
	return state.Running != nil || state.Terminated != nil && !state.Terminated.StartedAt.IsZero()
}

// reader opens the log of a container. It is asked for by the name of its pod, which the next mover of a claim has too.
func (m *podLogs) reader(ctx context.Context, pod *corev1.Pod, container string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		now, err := m.kube.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		switch {
		case err != nil:
			return nil, err
		case now.UID != pod.UID:
			return nil, apierrors.NewNotFound(corev1.Resource("pods"), pod.Name)
		}
		options := &corev1.PodLogOptions{Container: container, Follow: true}
		return m.kube.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, options).Stream(ctx)
	}
}

// keep copies a log, and notes when there is none. Only a pod that was gone at once may go
// without.
func (m *podLogs) keep(
	ctx context.Context, namespace, path string, shown time.Time, open func() (io.ReadCloser, error),
) {
	var err error
	for range logTries {
		if err = copyTo(path, open); err == nil || apierrors.IsNotFound(err) {
			break
		}
		select {
		case <-time.After(logPause):
		case <-ctx.Done():
			return
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ran++
	_, missing := os.Stat(path)
	switch {
	case missing == nil:
		m.kept++
	case apierrors.IsNotFound(err) && time.Since(shown) < atOnce, ctx.Err() != nil:
	default:
		m.lost[namespace] = append(m.lost[namespace], fmt.Sprintf("%s was not kept: %v", filepath.Base(path), err))
	}
}

// copyTo makes a file of a log that could be opened; what was copied of one that broke off is kept.
func copyTo(path string, open func() (io.ReadCloser, error)) error {
	stream, err := open()
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer func() { _ = stream.Close() }()
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("keep the log: %w", err)
	}
	_, err = io.Copy(f, stream)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("keep the log: %w", err)
	}
	return nil
}

// lostIn are the logs of a namespace that were not kept.
func (m *podLogs) lostIn(namespace string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lost[namespace])
}

// anyKept fails where many containers ran and no log was kept: then nothing was searched.
func (m *podLogs) anyKept() error {
	const many = 5
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ran >= many && m.kept == 0 {
		return fmt.Errorf("%d movers and managers ran, and no log was kept", m.ran)
	}
	return nil
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
