// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/mover/wire"
)

// ConsumerContainer is the container of a pod that only has its claim bound.
const ConsumerContainer = "consumer"

// ConsumerName is derived from a UID, so that two writers make one pod.
func ConsumerName(claimUID string) string { return fmt.Sprintf("s3consumer-%s", claimUID) }

// NewConsumer builds a pod that the scheduler places where a mover of the same source would
// go, and which ends at once. It names its claim, read-only, and mounts it nowhere: the
// kubelet then mounts nothing at all. It has no credentials and no token; the mover's
// ServiceAccount stays, because pull secrets and admission may depend on it.
func NewConsumer(s Spec) *corev1.Pod {
	pod := pod(s, []string{wire.ConsumerArgument})
	c := &pod.Spec.Containers[0]
	c.Name, c.Env = ConsumerContainer, nil
	pod.Spec.ActiveDeadlineSeconds = nil
	pod.Spec.Volumes = []corev1.Volume{{Name: "volume", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: s.ClaimName, ReadOnly: true},
	}}}
	return pod
}
