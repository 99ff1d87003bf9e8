// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"context"
	"fmt"
	"net/http"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// Exports reviews the annotations of a claim that ask for exports or for an import, when they are new or have
// changed. It changes nothing and reads nothing but the claim. Who may write them is a policy's to say, which the
// API server asks itself.
type Exports struct{ Decoder admission.Decoder }

var _ admission.Handler = &Exports{}

// Handle answers one review.
func (h *Exports) Handle(_ context.Context, req admission.Request) admission.Response {
	if req.Operation != admissionv1.Create && req.Operation != admissionv1.Update {
		return admission.Allowed("")
	}
	claim := &corev1.PersistentVolumeClaim{}
	if err := h.Decoder.Decode(req, claim); err != nil {
		return admission.Errored(http.StatusBadRequest, fmt.Errorf("decode claim: %w", err))
	}
	asked, errs := annotated.ExportOf(claim)
	_, wrong := annotated.ImportOf(claim)
	if errs = append(errs, wrong...); len(errs) > 0 {
		return denied(claim, errs)
	}
	return admission.Allowed("").WithWarnings(exportWarnings(claim, asked)...)
}

// exportWarnings tells of what is allowed but does nothing yet.
func exportWarnings(claim *corev1.PersistentVolumeClaim, asked annotated.Export) []string {
	if !annotated.ExportAsked(claim) || asked.Now != "" || asked.Schedule != "" {
		return nil
	}
	return []string{fmt.Sprintf("nothing is exported until the annotation %s has a token, or %s a schedule",
		v1alpha1.AnnotationExportNow, v1alpha1.AnnotationExportSchedule)}
}
