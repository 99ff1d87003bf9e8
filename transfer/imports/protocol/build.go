// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/claimusers"
)

// Options are what an administrator decides of mover pods.
type Options struct {
	// Image of the mover pods.
	Image moverpod.Image
	// Defaults of mover pods.
	Defaults moverpod.Defaults
	// ProgressURL is where movers send progress, without a path; empty turns it off.
	ProgressURL string
	// ProgressCA is the PEM that signed the progress endpoint's certificate.
	ProgressCA string
}

var errUserUnknown = errors.New("nothing tells as which user the claim is used")

// Mover is the pod that writes the volume. Its errors are a source that cannot be encoded, and what Decide would
// have refused or waited for.
func Mover(s State, o Options) (*corev1.Pod, error) {
	i := s.Import
	source, err := Select(i.Spec, s.Source.Spec)
	if err != nil {
		return nil, fmt.Errorf("select objects: %w", err)
	}
	request, err := moverpod.ImportRequest(source, string(i.UID), i.Spec.DeleteExtra)
	if err != nil {
		return nil, err //nolint:wrapcheck // It names the field.
	}
	request.Policy.Run.UID, request.Policy.Run.Prefix, request.Policy.Run.Digest = fromexport.Run(s.Source)
	security, known := securityFor(s, o.Defaults)
	if !known {
		return nil, errUserUnknown
	}
	request.Attempt = int(NextAttempt(i))
	request.Volume = wire.Volume{Mode: wire.Filesystem, TargetPath: source.TargetPath, ClaimUID: string(s.Claim.UID)}
	request.Progress = wire.Progress{URL: o.ProgressURL, CABundle: o.ProgressCA}
	node := claimusers.NodeFor(s.Claim, s.Users)
	spec := moverpod.Spec{
		Name: moverpod.ImporterName(string(i.UID)), Namespace: i.Namespace,
		Owner: *metav1.NewControllerRef(i, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Import)),
		Labels: map[string]string{
			v1alpha1.LabelRole: v1alpha1.RoleImport, v1alpha1.LabelImportUID: string(i.UID),
			v1alpha1.LabelSourceUID: string(s.Source.UID),
		},
		Annotations: map[string]string{
			v1alpha1.AnnotationImport:       i.Name,
			v1alpha1.AnnotationAttempt:      strconv.Itoa(request.Attempt),
			v1alpha1.AnnotationEndpointHost: queue.Host(source.Endpoint),
			v1alpha1.AnnotationClaimUID:     string(s.Claim.UID),
			v1alpha1.AnnotationNode:         node,
		},
		Image: o.Image, Location: source.S3Location, Mover: *source.Mover.DeepCopy(), Defaults: o.Defaults,
		Request: request, ClaimName: s.Claim.Name, Node: node,
	}
	spec.Mover.PodSecurityContext = security
	if t := retriesOf(s).AttemptTimeout; t != nil {
		spec.Deadline = t.Duration
	}
	return moverpod.New(spec)
}

// NextAttempt is the number of the mover that would be started now, from 1.
func NextAttempt(i *v1alpha1.S3Import) int32 { return i.Status.Attempts + 1 }

// PlaceFor is what a mover asks the queue for.
func PlaceFor(i *v1alpha1.S3Import, source *v1alpha1.S3Source) queue.Request {
	return queue.Request{
		Use: queue.Use{
			UID: i.UID, Namespace: i.Namespace, Places: 1, Endpoint: queue.Host(source.Spec.Endpoint),
			Source: string(source.UID),
		},
		Role:      v1alpha1.RoleImport,
		Name:      types.NamespacedName{Namespace: i.Namespace, Name: i.Name},
		Since:     i.CreationTimestamp.Time,
		SourceMax: int(source.Spec.Transfer.MaxMovers),
	}
}
