// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// testExports: which claims are shown to us, at which of their changes, and what becomes of them.
func (m *manager) testExports(t *testing.T) {
	invalid := newClaim("exempt", "invalid", annotate(v1alpha1.AnnotationExportTo, "nonsense"))
	valid := newClaim("plain", "valid", annotate(v1alpha1.AnnotationExportTo, "s3://backups/"),
		annotate(v1alpha1.AnnotationExportRegion, "x"), func(c *corev1.PersistentVolumeClaim) {
			c.Finalizers = []string{"example.com/keep"}
		})
	m.create(t, valid)
	m.create(t, invalid)
	tests := []struct {
		what, patch string
		claim       *corev1.PersistentVolumeClaim
		by          client.Client // Default: an administrator.
		wantCalled  bool
		wantErr     string
	}{
		{what: "a token", claim: valid, patch: `{"s3populator.io/export-now":"1"}`, wantCalled: true},
		{what: "the same token", claim: valid, patch: `{"s3populator.io/export-now":"1"}`},
		{what: "somebody else's annotation", claim: valid, patch: `{"a":"b"}`},
		{
			what: "a schedule that is none", claim: valid, patch: `{"s3populator.io/export-schedule":"nightly"}`,
			wantCalled: true, wantErr: "metadata.annotations[s3populator.io/export-schedule]: Invalid value",
		},
		{
			what: "a region that is taken away", claim: valid, patch: `{"s3populator.io/export-region":null}`,
			wantCalled: true, wantErr: "metadata.annotations[s3populator.io/export-region]: Required value",
		},
		{
			what: "a name that is not known", claim: valid, patch: `{"s3populator.io/export-compression":"true"}`,
			wantCalled: true, wantErr: `Unsupported value: "s3populator.io/export-compression"`,
		},
		{
			what: "a token for an import of nothing", claim: valid, patch: `{"s3populator.io/import-now":"1"}`,
			wantCalled: true, wantErr: "metadata.annotations[s3populator.io/import-now]: Forbidden",
		},
		{what: "what the manager notes of an import", claim: valid, by: m.us, patch: `{"s3populator.io/imported-now":"1"}`},
		{what: "what the manager notes", claim: valid, by: m.us, patch: `{"s3populator.io/exported-now":"1"}`},
		{what: "another place", claim: valid, patch: `{"s3populator.io/export-to":"s3://others"}`, wantCalled: true},
		{
			what: "all of it taken away", claim: valid, wantCalled: true,
			patch: `{"s3populator.io/export-to":null,"s3populator.io/export-region":null,"s3populator.io/export-now":null}`,
		},
		{what: "an exempt namespace", claim: invalid, patch: `{"s3populator.io/export-now":"1"}`},
	}
	for _, tt := range tests {
		by := tt.by
		if by == nil {
			by = m.Client
		}
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":`+tt.patch+`}}`))
		// The API server may begin with an object from its cache, which does not have the last change yet, ask us
		// about that, and begin again.
		await(t, tt.what, func() bool {
			m.called()
			checkOutcome(t, tt.what, by.Patch(t.Context(), tt.claim.DeepCopy(), patch), tt.wantErr)
			calls := m.called()
			return calls[PathExports] > 0 == tt.wantCalled && calls[PathClaims]+calls[PathSelected] == 0
		})
	}
	m.testExportOfAGoingClaim(t, valid)
}

// testExportOfAGoingClaim: nobody holds a deletion up, whatever the claim says.
func (m *manager) testExportOfAGoingClaim(t *testing.T, claim *corev1.PersistentVolumeClaim) {
	t.Helper()
	if err := m.Delete(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	tries := 0
	await(t, "a claim that is going to be left alone", func() bool { // The API server's cache may not know it yet.
		m.called()
		tries++
		patch := fmt.Sprintf(`{"metadata":{"annotations":{"s3populator.io/export-to":"nonsense%d"}}}`, tries)
		m.patch(t, claim, patch)
		return len(m.called()) == 0
	})
	m.patch(t, claim, `{"metadata":{"finalizers":null}}`)
}

func (m *manager) patch(t *testing.T, claim *corev1.PersistentVolumeClaim, patch string) {
	t.Helper()
	raw := client.RawPatch("application/merge-patch+json", []byte(patch))
	if err := m.Patch(t.Context(), claim.DeepCopy(), raw); err != nil {
		t.Errorf("%s: %v", patch, err)
	}
}

func TestExportWarnings(t *testing.T) {
	const where = `"s3populator.io/export-to":"s3://backups","s3populator.io/export-region":"x"`
	for name, tt := range map[string]struct {
		annotations string
		want        string
	}{
		"nothing asks for a run":  {where, "until the annotation"},
		"a token does":            {where + `,"s3populator.io/export-now":"1"`, ""},
		"a schedule does":         {where + `,"s3populator.io/export-schedule":"@daily"`, ""},
		"what a chart left empty": {`"s3populator.io/export-to":""`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			raw := `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"data","annotations":{` +
				tt.annotations + `}}}`
			got := (&Exports{Decoder: admission.NewDecoder(scheme())}).Handle(t.Context(), admission.Request{
				AdmissionRequest: admissionv1.AdmissionRequest{
					Operation: admissionv1.Update, Object: runtime.RawExtension{Raw: []byte(raw)},
				},
			})
			if !got.Allowed || strings.Join(got.Warnings, "") == "" != (tt.want == "") ||
				!strings.Contains(strings.Join(got.Warnings, ""), tt.want) {
				t.Errorf("allowed: %t, warnings %q; want %q", got.Allowed, got.Warnings, tt.want)
			}
		})
	}
}
