// SPDX-License-Identifier: Apache-2.0

package prune

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// deadline bounds a pod that asks for every object; the next one goes on.
const deadline = 6 * time.Hour

// Options are what an administrator decides of mover pods.
type Options struct {
	Image    moverpod.Image
	Defaults moverpod.Defaults
}

// moverFor is the pod that removes what a run has sent, where the runs that are kept are there. The export owns it:
// without one nobody wants anything removed.
func moverFor(e *v1alpha1.S3Export, kept []*v1alpha1.S3Export, o Options) (*corev1.Pod, error) {
	request, err := moverpod.ExportRequest(wire.Prune, e.Spec.S3ExportTemplate, string(e.UID), e.Status.Prefix)
	if err != nil {
		return nil, err //nolint:wrapcheck // It names the field.
	}
	request.Attempt = 1
	request.Prune = wire.PruneOptions{Claim: e.Status.ClaimUID, Digest: e.Status.ManifestDigest}
	for _, k := range kept {
		request.Prune.Kept = append(request.Prune.Kept, wire.KeptRun{
			Run: string(k.UID), Prefix: k.Status.Prefix, Digest: k.Status.ManifestDigest,
		})
	}
	spec := moverpod.Spec{
		Name: moverpod.PruneName(string(e.UID)), Namespace: e.Namespace, Deadline: deadline,
		Owner:  *metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Export)),
		Labels: map[string]string{v1alpha1.LabelRole: v1alpha1.RolePrune, v1alpha1.LabelExportUID: string(e.UID)},
		Annotations: map[string]string{
			v1alpha1.AnnotationExport:       e.Name,
			v1alpha1.AnnotationAttempt:      "1",
			v1alpha1.AnnotationEndpointHost: queue.Host(e.Spec.Destination.Endpoint),
		},
		Image: o.Image, Location: e.Spec.Destination.S3Location, Mover: *e.Spec.Mover.DeepCopy(), Defaults: o.Defaults,
		Request: request,
	}
	if spec.Mover.PodSecurityContext == nil {
		spec.Mover.PodSecurityContext = claimusers.Unused(o.Defaults)
	}
	return moverpod.New(spec) //nolint:wrapcheck // It names the field.
}

// isOurs tells that a pod was made for the export.
func isOurs(pod *corev1.Pod, e *v1alpha1.S3Export) bool {
	return types.UID(pod.Labels[v1alpha1.LabelExportUID]) == e.UID && pod.Labels[v1alpha1.LabelRole] == v1alpha1.RolePrune
}
