// SPDX-License-Identifier: Apache-2.0

// Package webhook turns annotated and selected claims into populated ones when they are
// created, and refuses those that would silently stay empty, and annotations about exports that
// cannot be followed. It decides from the claim and
// from cached objects, and lists the sources of a labelled namespace where none of the cache
// selects the claim; it makes no S3 call and writes nothing.
//
// This file and exports.go are the only ones that know admission; observe.go, mutate.go and
// validate.go are pure.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Paths of the entries of the webhook configuration. Every claim matches one of the first two at most.
const (
	// PathClaims gets claims that carry our annotations or name our kind.
	PathClaims = "/claims"
	// PathSelected gets all claims of namespaces with the injection label.
	PathSelected = "/selected-claims"
	// PathExports gets claims whose annotations about exports, or for an import, are new or have changed.
	PathExports = "/exports"
)

// +kubebuilder:rbac:groups=s3populator.io,resources=s3sources,verbs=list;watch
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses;csidrivers,verbs=get;list;watch

// Register serves all paths. The reader should be a cache's: a review waits for it. The live
// one asks the API server.
func Register(server webhook.Server, reader, live client.Reader, scheme *runtime.Scheme) {
	for path, selecting := range map[string]bool{PathClaims: false, PathSelected: true} {
		server.Register(path, &admission.Webhook{Handler: &Claims{
			Reader: reader, Live: live, Decoder: admission.NewDecoder(scheme), Selecting: selecting,
		}})
	}
	server.Register(PathExports, &admission.Webhook{Handler: &Exports{Decoder: admission.NewDecoder(scheme)}})
}

// Claims reviews the creation of claims.
type Claims struct {
	Reader client.Reader
	// Live knows what was created a moment before the claim: a cache may not, and the claim
	// would come up empty, or be refused. It is asked where the cache has no source that
	// selects the claim, no such class, or no such driver.
	Live    client.Reader
	Decoder admission.Decoder
	// Selecting compares the claim with the claimSelector of its namespace's sources.
	Selecting bool
}

var _ admission.Handler = &Claims{}

// Handle answers one review.
func (h *Claims) Handle(ctx context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create {
		return admission.Allowed("")
	}
	claim := &corev1.PersistentVolumeClaim{}
	if err := h.Decoder.Decode(req, claim); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode claim: %w", err))
	}
	s, err := h.look(ctx, claim, req)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if errs := validate(s); len(errs) > 0 {
		return denied(claim, errs)
	}
	after := mutate(s)
	response := admission.Allowed("")
	if after != claim {
		patched, err := overlay(req.Object.Raw, claim, after)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, fmt.Errorf("patch claim: %w", err))
		}
		response = admission.PatchResponseFromRaw(req.Object.Raw, patched)
	}
	return response.WithWarnings(warnings(s, after)...)
}

// look reads what a decision about the claim needs, and no more.
func (h *Claims) look(
	ctx context.Context,
	claim *corev1.PersistentVolumeClaim,
	req admission.Request,
) (observed, error) {
	s := observed{Claim: claim, Ref: sourceOf(claim, string(req.UID))}
	if err := h.lookAtSources(ctx, &s, req.Namespace); err != nil {
		return s, fmt.Errorf("read S3Source: %w", err)
	}
	if s.Ref.Name == "" {
		return s, nil
	}
	s.Left = leftAlone(claim)
	if s.Left != "" || claim.Spec.StorageClassName == nil {
		return s, nil
	}
	err := h.lookAtClass(ctx, &s)
	return s, err
}

func (h *Claims) lookAtSources(ctx context.Context, s *observed, namespace string) error {
	switch {
	case s.Ref.Existing:
		source, err := get(ctx, client.ObjectKey{Namespace: namespace, Name: s.Ref.Name}, &v1alpha1.S3Source{}, h.Reader)
		s.Source = source
		return err
	case s.Ref.Name == "" && h.Selecting:
		for _, reader := range []client.Reader{h.Reader, h.Live} {
			var all v1alpha1.S3SourceList
			if err := reader.List(ctx, &all, client.InNamespace(namespace)); err != nil {
				return err
			}
			s.choose(all.Items)
			if len(s.Selected) > 0 || notSelectable(s.Claim) != "" {
				break
			}
		}
	}
	return nil
}

// lookAtClass asks the API server for what the cache does not have: a class or a driver that was
// applied in one go with its claim would else be judged as missing.
func (h *Claims) lookAtClass(ctx context.Context, s *observed) error {
	name := client.ObjectKey{Name: *s.Claim.Spec.StorageClassName}
	class, err := get(ctx, name, &storagev1.StorageClass{}, h.Reader, h.Live)
	if err != nil {
		return fmt.Errorf("read StorageClass: %w", err)
	}
	if class == nil {
		return nil
	}
	driver, err := get(ctx, client.ObjectKey{Name: class.Provisioner}, &storagev1.CSIDriver{}, h.Reader, h.Live)
	if err != nil {
		return fmt.Errorf("read CSIDriver: %w", err)
	}
	s.Class, s.CSI = class, driver != nil
	return nil
}

// get asks one reader after the other, and returns nil for what none of them knows. No object has a
// name such as kubernetes.io/no-provisioner, and a client refuses to ask for it.
func get[T client.Object](ctx context.Context, key client.ObjectKey, into T, from ...client.Reader) (T, error) {
	var none T
	if key.Name == "" || len(content.IsPathSegmentName(key.Name)) > 0 {
		return none, nil
	}
	for _, reader := range from {
		err := reader.Get(ctx, key, into)
		if err == nil {
			return into, nil
		}
		if !apierrors.IsNotFound(err) {
			return none, err
		}
	}
	return none, nil
}

var claimKind = schema.GroupKind{Kind: "PersistentVolumeClaim"}

// denied answers as the API server does for what it finds invalid itself.
func denied(claim *corev1.PersistentVolumeClaim, errs field.ErrorList) admission.Response {
	name := claim.Name
	if name == "" {
		name = claim.GenerateName
	}
	status := apierrors.NewInvalid(claimKind, name, errs).ErrStatus
	return admission.Response{AdmissionResponse: admissionv1.AdmissionResponse{Allowed: false, Result: &status}}
}

// overlay puts the three things that we may change into the object as it was sent, so that
// fields that this program does not know stay as they are.
func overlay(raw []byte, before, after *corev1.PersistentVolumeClaim) ([]byte, error) {
	doc := map[string]any{}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	spec := child(doc, "spec")
	if before.Spec.DataSourceRef == nil {
		spec["dataSourceRef"] = after.Spec.DataSourceRef
	}
	was, _ := size(before)
	if now, _ := size(after); now.Cmp(was) != 0 {
		child(child(spec, "resources"), "requests")[string(corev1.ResourceStorage)] = now.String()
	}
	if value, ok := after.Annotations[v1alpha1.AnnotationGrowTo]; ok {
		child(child(doc, "metadata"), "annotations")[v1alpha1.AnnotationGrowTo] = value
	}
	return json.Marshal(doc)
}

// child is the object under a key, made when it is missing.
func child(of map[string]any, key string) map[string]any {
	if found, ok := of[key].(map[string]any); ok {
		return found
	}
	made := map[string]any{}
	of[key] = made
	return made
}
