// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/queue"
)

// ConsumerName carries the claim's UID, like the prime's and the mover's.
func ConsumerName(claim *corev1.PersistentVolumeClaim) string {
	return moverpod.ConsumerName(string(claim.UID))
}

// Consumer is the pod that gets the prime bound. It is placed like the mover, so that the
// volume is made where the mover can run.
func Consumer(s State, o MoverOptions) *corev1.Pod {
	return moverpod.NewConsumer(moverpod.Spec{
		Name:      ConsumerName(s.Claim),
		Namespace: s.Claim.Namespace,
		Owner:     ownerReference(s.Claim),
		Labels:    moverLabels(s, v1alpha1.RoleConsumer),
		Annotations: map[string]string{
			v1alpha1.AnnotationPodHash:      PodHash(s.Source),
			v1alpha1.AnnotationEndpointHost: queue.Host(s.Source.Spec.Endpoint),
		},
		Image:     o.Image,
		Location:  s.Source.Spec.S3Location,
		Mover:     s.Source.Spec.Mover,
		Defaults:  o.Defaults,
		ClaimName: s.Prime.Name,
	})
}
