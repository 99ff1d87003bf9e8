// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// moverContainer is the container that writes.
const moverContainer = "mover"

// node runs processes. One that is down may still run them: it is only cut off.
type node struct {
	name string
	down bool
}

// mount of a volume in a process.
type mount struct {
	volume   types.UID
	name     string
	writable bool
}

// process is what a pod is on its node; it may outlive the pod.
type process struct {
	pod      types.UID
	name     string
	claimUID string // The claim that a mover works for.
	node     string
	mover    bool
	attempt  int
	wish     string
	mounts   []mount
	stage    int
	ended    bool
	// report of an ended mover; nil where it left none.
	report *wire.Report
	// cutOff from its volume by a forced detachment: it writes no more.
	cutOff bool
	told   bool
}

func (p *process) writes() bool {
	return !p.ended && !p.cutOff && slices.ContainsFunc(p.mounts, func(m mount) bool { return m.writable })
}

func (w *world) node(name string) *node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	return &node{name: name, down: true}
}

func (w *world) processOf(uid types.UID) *process {
	for _, p := range w.processes {
		if p.pod == uid {
			return p
		}
	}
	return nil
}

func (w *world) mounted(volume, node string) bool {
	for _, p := range w.processes {
		if p.node == node && slices.ContainsFunc(p.mounts, func(m mount) bool { return m.name == volume }) {
			return true
		}
	}
	return false
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// kubeletActions are those of the nodes that are up.
func (w *world) kubeletActions() []action {
	var list []action
	add := func(what string, weight int, do func()) { list = append(list, action{"kubelet", what, weight, do}) }
	alive := map[types.UID]bool{}
	for _, pod := range all[*corev1.Pod](w.server) {
		alive[pod.UID] = true
		if pod.Spec.NodeName != "" && !w.node(pod.Spec.NodeName).down {
			w.runPod(pod, w.processOf(pod.UID), add)
		}
	}
	for _, p := range w.processes {
		if !alive[p.pod] && !w.node(p.node).down {
			add("ends the process of a removed pod "+p.name, 3, func() { w.forget(p) })
		}
	}
	return list
}

func (w *world) runPod(pod *corev1.Pod, p *process, add func(string, int, func())) {
	deleting := pod.DeletionTimestamp != nil
	switch {
	case p == nil && deleting:
		add("removes pod "+pod.Name, 6, func() { w.remove(pod) })
	case p == nil && pod.Status.Phase == corev1.PodPending && w.mountable(pod):
		add("starts pod "+pod.Name, 6, func() { w.start(pod) })
	case p == nil && pod.Status.Phase == corev1.PodRunning:
		add("finds that pod "+pod.Name+" was lost", 6, func() { w.tellEnd(pod, nil) })
	case p == nil:
	case deleting && !p.ended:
		add("kills pod "+pod.Name, 4, func() { p.ended = true })
	case p.ended && !p.told:
		add("tells that the container of "+pod.Name+" ended", 6, func() {
			p.told = true
			w.tellContainer(pod, p)
		})
	case p.ended && !ended(pod):
		add("tells that "+pod.Name+" ended", 6, func() {
			w.tellEnd(pod, p)
			if !deleting {
				w.forget(p)
			}
		})
	case p.ended && deleting:
		add("removes pod "+pod.Name, 6, func() {
			w.forget(p)
			w.remove(pod)
		})
	}
}

// mountable: every claim is Bound and its volume attached here.
func (w *world) mountable(pod *corev1.Pod) bool {
	for _, name := range claimNames(pod) {
		c := w.claim(name)
		if c == nil || c.Status.Phase != corev1.ClaimBound || c.Spec.VolumeName == "" {
			return false
		}
		if w.setting.unattached {
			continue
		}
		if _, ok := one[*storagev1.VolumeAttachment](w.server, "",
			attachmentName(c.Spec.VolumeName, pod.Spec.NodeName)); !ok {
			return false
		}
	}
	return true
}

func (w *world) start(pod *corev1.Pod) {
	p := &process{pod: pod.UID, name: pod.Name, node: pod.Spec.NodeName}
	for _, source := range pod.Spec.Volumes {
		if source.PersistentVolumeClaim == nil {
			continue
		}
		v := w.volume(w.claim(source.PersistentVolumeClaim.ClaimName).Spec.VolumeName)
		writable := !source.PersistentVolumeClaim.ReadOnly && mountedToWrite(pod, source.Name)
		p.mounts = append(p.mounts, mount{v.UID, v.Name, writable})
	}
	if c := pod.Spec.Containers[0]; c.Name == moverContainer && pod.Labels[v1alpha1.LabelRole] == v1alpha1.RolePopulate {
		w.readRequest(p, pod)
	}
	w.processes = append(w.processes, p)
	edit(w.server, pod, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodRunning
		pod.Status.StartTime = &metav1.Time{Time: w.now}
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
			Name: pod.Spec.Containers[0].Name, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
		}}
	})
	w.play.starts(p)
}

func mountedToWrite(pod *corev1.Pod, volume string) bool {
	for _, c := range pod.Spec.Containers {
		for _, d := range c.VolumeDevices {
			if d.Name == volume {
				return true
			}
		}
		for _, m := range c.VolumeMounts {
			if m.Name == volume && !m.ReadOnly {
				return true
			}
		}
	}
	return false
}

// tellContainer reports an ended container a moment before the pod's phase.
func (w *world) tellContainer(pod *corev1.Pod, p *process) {
	t := &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "Error"}
	switch {
	case p == nil:
	case p.report != nil:
		t.ExitCode, t.Message = int32(p.report.Class.ExitCode()), string(p.report.Encode()) //nolint:gosec // At most 4.
	case !p.mover && pod.DeletionTimestamp == nil:
		t.ExitCode, t.Reason = 0, "Completed"
	}
	edit(w.server, pod, func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{
			{Name: pod.Spec.Containers[0].Name, State: corev1.ContainerState{Terminated: t}},
		}
	})
}

func (w *world) tellEnd(pod *corev1.Pod, p *process) {
	if p == nil {
		w.tellContainer(pod, nil)
		pod, _ = one[*corev1.Pod](w.server, pod.Namespace, pod.Name)
	}
	code := pod.Status.ContainerStatuses[0].State.Terminated.ExitCode
	edit(w.server, pod, func(pod *corev1.Pod) {
		pod.Status.Phase = corev1.PodFailed
		if code == 0 {
			pod.Status.Phase = corev1.PodSucceeded
		}
	})
}

// forget ends a process and unmounts its volumes.
func (w *world) forget(p *process) {
	p.ended = true
	w.processes = slices.DeleteFunc(w.processes, func(q *process) bool { return q == p })
}
