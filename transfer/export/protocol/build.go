// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"errors"
	"strconv"
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

// abortDeadline bounds a pod that ends uploads: it lists a directory, waits a minute and deletes a few things.
const abortDeadline = 10 * time.Minute

var errUserUnknown = errors.New("nothing tells as which user the claim is used")

// Mover is the pod that exports the volume. Its errors are an export that cannot be encoded, and a
// user that Decide would have waited for.
func Mover(s State, o Options) (*corev1.Pod, error) {
	e := s.Export
	request, err := moverpod.ExportRequest(wire.Export, e.Spec.S3ExportTemplate, string(e.UID), s.Prefix)
	if err != nil {
		return nil, err
	}
	security, known := securityFor(s, o.Defaults)
	if !known {
		return nil, errUserUnknown
	}
	request.Attempt = int(NextAttempt(e))
	request.Volume = wire.Volume{Mode: wire.Filesystem, TargetPath: e.Spec.Path, ClaimUID: string(ownerOf(s.Claim))}
	request.Export.CopyFrom = copyFrom(s)
	setStep(&request.Export, e)
	request.Progress = wire.Progress{URL: o.ProgressURL, CABundle: o.ProgressCA}
	read, node := s.Claim, claimusers.NodeFor(s.Claim, s.Users)
	if Apart(e) {
		read, node = s.Temporary.Claim, ""
		request.Volume.Temporary, request.Volume.AsOf = string(read.UID), asOf(read)
	}
	spec := o.pod(e, v1alpha1.RoleExport, request)
	spec.Name = moverpod.ExportName(string(e.UID))
	spec.Owner = *metav1.NewControllerRef(e, v1alpha1.GroupVersion.WithKind(v1alpha1.KindS3Export))
	spec.Mover.PodSecurityContext = security
	spec.ClaimName, spec.ReadOnly, spec.Node = read.Name, true, node
	if StepOf(e) == v1alpha1.ExportShard && node == "" && claimusers.OneNode(read) {
		spec.Together = map[string]string{v1alpha1.LabelExportUID: string(e.UID)}
	}
	spec.Annotations[v1alpha1.AnnotationClaimUID] = string(s.Claim.UID)
	spec.Annotations[v1alpha1.AnnotationCopiedFrom] = request.Export.CopyFrom
	spec.Annotations[v1alpha1.AnnotationNode] = node
	spec.Annotations[v1alpha1.AnnotationTemporaryUID] = request.Volume.Temporary
	if step := StepOf(e); step != "" {
		spec.Annotations[v1alpha1.AnnotationStep] = string(step)
	}
	if t := e.Spec.Retries.AttemptTimeout; t != nil {
		spec.Deadline = t.Duration
	}
	return moverpod.New(spec)
}

// Abort is the pod that ends the uploads that a run has left. It has no owner: the export may be in
// deletion, and garbage collection would end it before it is done. The export stays until it is.
func Abort(s State, o Options) (*corev1.Pod, error) {
	e := s.Export
	request, err := moverpod.ExportRequest(wire.Abort, e.Spec.S3ExportTemplate, string(e.UID), s.Prefix)
	if err != nil {
		return nil, err
	}
	request.Attempt = 1
	spec := o.pod(e, v1alpha1.RoleAbort, request)
	spec.Name, spec.Deadline = moverpod.AbortName(string(e.UID)), abortDeadline
	spec.Mover.PodSecurityContext = claimusers.Unused(o.Defaults)
	if own := e.Spec.Mover.PodSecurityContext; own != nil {
		spec.Mover.PodSecurityContext = own
	}
	return moverpod.New(spec)
}

// pod is what both have in common.
func (o Options) pod(e *v1alpha1.S3Export, role string, request wire.Request) moverpod.Spec {
	return moverpod.Spec{
		Namespace: e.Namespace,
		Labels:    map[string]string{v1alpha1.LabelRole: role, v1alpha1.LabelExportUID: string(e.UID)},
		Annotations: map[string]string{
			v1alpha1.AnnotationExport:       e.Name,
			v1alpha1.AnnotationAttempt:      strconv.Itoa(request.Attempt),
			v1alpha1.AnnotationEndpointHost: queue.Host(e.Spec.Destination.Endpoint),
		},
		Image: o.Image, Location: e.Spec.Destination.S3Location, Mover: *e.Spec.Mover.DeepCopy(),
		Defaults: o.Defaults, Request: request,
	}
}

// NextAttempt is the number of the mover that would be started now, from 1.
func NextAttempt(e *v1alpha1.S3Export) int32 {
	if step := StepOf(e); step == v1alpha1.ExportShard || step == v1alpha1.ExportFinish {
		return e.Status.Attempts // The one that began with the plan.
	}
	return e.Status.Attempts + 1
}

// copyFrom is the prefix of the last complete run: the one that the run began with, if it has.
func copyFrom(s State) string {
	from := s.Export.Status.CopiedFrom
	if from == "" && !begun(s.Export) {
		if last := Last(s.Export, s.Runs, ownerOf(s.Claim), s.Prefix); last != nil {
			from = last.Status.Prefix
		}
	}
	if from == s.Prefix || s.Export.Spec.Destination.Key != "" {
		return ""
	}
	return from
}

// ownerOf is the claim by whose UID runs and manifests know a volume: the one that is read, or, where that
// only holds the volume of a claim that is exported before it goes, the one that goes.
func ownerOf(claim *corev1.PersistentVolumeClaim) types.UID {
	if uid := claim.Labels[v1alpha1.LabelClaimUID]; uid != "" &&
		claim.Labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport {
		return types.UID(uid)
	}
	return claim.UID
}

// PlaceFor is what a mover asks the queue for.
func PlaceFor(e *v1alpha1.S3Export) queue.Request {
	return queue.Request{
		Use: queue.Use{
			UID: e.UID, Namespace: e.Namespace, Places: placesFor(e), Endpoint: queue.Host(e.Spec.Destination.Endpoint),
		},
		Role:  v1alpha1.RoleExport,
		Name:  nameOf(e),
		Since: e.CreationTimestamp.Time,
	}
}
