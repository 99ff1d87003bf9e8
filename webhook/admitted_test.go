// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

// testAdmittedCanBeMade: the schema of S3Source accepts whatever the annotations may say.
func (m *manager) testAdmittedCanBeMade(t *testing.T) {
	prefix := v1alpha1.Group + "/"
	for name, annotations := range map[string]map[string]string{
		"aws":    {"url": "s3://datasets/imagenet/", "region": "eu-west-1"},
		"bucket": {"url": "s3://my.data-1", "endpoint": "http://minio/"},
		"everything": {
			"url":          "s3://datasets/a b?c#d/Ä",
			"endpoint":     "https://minio.data.svc:9000",
			"region":       "x",
			"secret":       "s3",
			"ca-configmap": "ca",
			"auto-size":    "true",
		},
		"account": {
			"url":             "s3://datasets/" + strings.Repeat("x", 1024),
			"region":          strings.Repeat("x", 64),
			"service-account": "reader.of.all",
		},
	} {
		for _, mode := range []corev1.PersistentVolumeMode{corev1.PersistentVolumeFilesystem, corev1.PersistentVolumeBlock} {
			claim := newClaim("plain", name, func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = &mode; c.UID = "u" })
			for key, value := range annotations {
				claim.Annotations[prefix+key] = value
			}
			claim.Spec.DataSourceRef = &corev1.TypedObjectReference{Name: annotated.Name(claim, "")}
			source, errs := annotated.Source(claim)
			if len(errs) > 0 && (mode == corev1.PersistentVolumeFilesystem || name == "everything" || name == "account") {
				t.Errorf("%s on %s: %v", name, mode, errs)
			}
			if len(errs) > 0 {
				continue
			}
			if err := m.Create(t.Context(), source); err != nil {
				t.Errorf("%s on %s: %v", name, mode, err)
			}
		}
	}
}

// testOutage comes last: nobody answers any more.
func (m *manager) testOutage(t *testing.T) {
	m.server.Close()
	m.create(t, newClaim("plain", "outage"))
	for what, claim := range map[string]*corev1.PersistentVolumeClaim{
		"an annotated claim": newClaim(
			"plain",
			"outage-annotated",
			annotate(v1alpha1.AnnotationSource, "imagenet"),
		),
		"a claim in a labelled namespace": newClaim("labelled", "outage"),
	} {
		err := m.Create(t.Context(), claim)
		if err == nil || !strings.Contains(err.Error(), "s3populator.io") ||
			!strings.Contains(err.Error(), "failed calling webhook") {
			t.Errorf("%s: %v; want it refused, naming the webhook", what, err)
		}
	}
}

func checkOutcome(t *testing.T, what string, err error, wantErr string) {
	t.Helper()
	if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
		t.Errorf("%s: %v, want an error with %q", what, err, wantErr)
	}
}

func checkCreated(t *testing.T, claim *corev1.PersistentVolumeClaim, wantName, wantSize string) {
	t.Helper()
	ref, request := claim.Spec.DataSourceRef, claim.Spec.Resources.Requests[corev1.ResourceStorage]
	switch {
	case wantName == "" && isSource(ref):
		t.Errorf("refers to %s, want nothing", ref.Name)
	case wantName != "" && (!isSource(ref) || claim.Spec.DataSource == nil || claim.Spec.DataSource.Name != ref.Name):
		t.Errorf("refers to %+v and %+v, want both to be our kind", ref, claim.Spec.DataSource)
	case wantName == "-" && claim.GenerateName == "" && !annotated.Named(claim, ref.Name),
		wantName == "-" && !strings.HasPrefix(ref.Name, "data-") && claim.GenerateName != "":
		t.Errorf("refers to %s, want a name of its own", ref.Name)
	case wantName != "" && wantName != "-" && ref.Name != wantName:
		t.Errorf("refers to %s, want %s", ref.Name, wantName)
	case wantSize != "" && request.String() != wantSize:
		t.Errorf("requests %s, want %s", request.String(), wantSize)
	}
}
