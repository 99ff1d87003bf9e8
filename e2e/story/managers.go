// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

const managerContainer = "manager"

func isManager(p *corev1.Pod) bool {
	return p.Namespace == SystemNamespace && len(p.Spec.Containers) > 0 && p.Spec.Containers[0].Name == managerContainer
}

// managers are all pods of the manager that ever were: a replica that crashed is replaced by
// the next story that restarts it.
type managers struct {
	mu  sync.Mutex
	all map[types.UID]*corev1.Pod // as last seen
}

func (m *managers) note(p *corev1.Pod) {
	if !isManager(p) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = map[types.UID]*corev1.Pod{}
	}
	m.all[p.UID] = p
}

// well asserts that no replica died but by being asked to.
func (m *managers) well() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.all) == 0 {
		return errors.New("no pod of the manager was ever seen")
	}
	var errs []error
	for _, p := range m.all {
		for _, c := range p.Status.ContainerStatuses {
			if c.RestartCount > 0 {
				errs = append(
					errs,
					fmt.Errorf(
						"manager %s was restarted %d times; it ended with %+v",
						p.Name,
						c.RestartCount,
						c.LastTerminationState.Terminated,
					),
				)
			}
			if t := c.State.Terminated; t != nil && t.ExitCode != 0 && !endedEarly(p, t) {
				errs = append(errs, fmt.Errorf("manager %s ended with %d (%s): %s", p.Name, t.ExitCode, t.Reason, t.Message))
			}
		}
	}
	return errors.Join(errs...)
}

// endedEarly is a replica that was deleted while it started. Before it listens to signals, Go ends
// the first process of a container with 2 (a panic, too, but that is in its log); before Go itself does, the
// kernel drops a signal to that process, which is killed when its grace period is over; and of a container
// that was never there the kubelet says ContainerStatusUnknown.
func endedEarly(p *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	const signalled, killed, never = 2, 128 + 9, "ContainerStatusUnknown"
	if p.DeletionTimestamp == nil {
		return false
	}
	return t.ExitCode == signalled || t.Reason == never || t.ExitCode == killed && toldAtStart(p, t)
}

// toldAtStart tells that a pod was deleted before its container had run for longer than the second that the times of
// both are cut to.
func toldAtStart(p *corev1.Pod, t *corev1.ContainerStateTerminated) bool {
	grace := p.DeletionGracePeriodSeconds
	if grace == nil {
		return false
	}
	told := p.DeletionTimestamp.Add(-time.Duration(*grace) * time.Second)
	return told.Sub(t.StartedAt.Time) <= time.Second
}

// panics looks for them in the logs of all managers.
func panics(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no log of a manager was kept")
	}
	var errs []error
	for _, path := range files {
		text, err := os.ReadFile(path)
		if at := bytes.Index(text, []byte("panic")); at >= 0 {
			err = fmt.Errorf("manager %s panicked: %.2000s", filepath.Base(path), text[at:])
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
