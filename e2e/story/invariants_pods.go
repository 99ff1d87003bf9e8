// SPDX-License-Identifier: Apache-2.0

package story

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// pod notes a mover; others of ours cannot write.
func (l *invariants) pod(p *corev1.Pod, gone bool) { //nolint:gocyclo // Each condition is a kind of end.
	claim := ownerClaim(p)
	if claim == "" || !mayWrite(p) {
		return
	}
	r, ok := l.movers[p.UID]
	if !ok {
		r = &moverRecord{namespace: p.Namespace, name: p.Name, claim: claim}
		l.movers[p.UID] = r
	}
	now, running, stopped := revisionOf(p.ResourceVersion), false, len(p.Status.ContainerStatuses) > 0
	for _, c := range p.Status.ContainerStatuses {
		running = running || c.State.Running != nil
		stopped = stopped && c.State.Terminated != nil
		if c.State.Terminated != nil && c.State.Terminated.ExitCode == 0 && r.succeeded == 0 {
			r.succeeded = now
		}
	}
	if gone {
		r.gone = now
		// The pod of a node that is no more is removed by Kubernetes in whatever state it was in.
		if running && p.Spec.NodeName == rundir.NodeName {
			l.breaks(p.Namespace, "mover %s left the API while its container ran", p.Name)
		}
	}
	l.live("mover", p.Namespace, string(claim), being{p.UID, p.Name, !gone && !stopped})
}

// mayWrite tells a mover from a pod that is there for the scheduler's sake.
func mayWrite(p *corev1.Pod) bool {
	for _, c := range p.Spec.Containers {
		if len(c.VolumeDevices) > 0 {
			return true
		}
		for _, m := range c.VolumeMounts {
			for _, v := range p.Spec.Volumes {
				if v.Name == m.Name && v.PersistentVolumeClaim != nil && !m.ReadOnly && !v.PersistentVolumeClaim.ReadOnly {
					return true
				}
			}
		}
	}
	return false
}

type being struct {
	uid   types.UID
	name  string
	lives bool
}

func (l *invariants) live(kind, namespace, claim string, b being) {
	key := kind + " " + claim
	if l.living[key] == nil {
		l.living[key] = map[types.UID]string{}
	}
	if !b.lives {
		delete(l.living[key], b.uid)
		return
	}
	if _, told := l.living[key][b.uid]; told {
		return
	}
	l.living[key][b.uid] = b.name
	if n := len(l.living[key]); n > 1 {
		l.breaks(namespace, "claim %s has %d living %ss at once: %v", claim, n, kind, l.living[key])
	}
}
