// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cmapi "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/internal/kubetest"
)

// render builds the overlay of a user who has a real cert-manager.
func render(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), kubetest.Program(t, "kubectl"), "kustomize", "testdata/overlay").Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("kubectl kustomize: %v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []*unstructured.Unstructured
	for documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(out))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &o.Object); err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
}

// find converts the one object of a kind and name.
func find[T any](t *testing.T, all []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	i := slices.IndexFunc(
		all,
		func(o *unstructured.Unstructured) bool { return o.GetKind() == kind && o.GetName() == name },
	)
	if i < 0 {
		t.Fatalf("%s %s is not rendered", kind, name)
	}
	var into T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(all[i].Object, &into, true); err != nil {
		t.Fatalf("%s %s: %v", kind, name, err)
	}
	return &into
}

// TestCertManagerComponent follows the certificate from its issuer into the manager.
func TestCertManagerComponent(t *testing.T) {
	all := render(t)
	root := find[cmapi.Certificate](t, all, "Certificate", "s3populator-ca")
	issuer := find[cmapi.Issuer](t, all, "Issuer", "s3populator-ca")
	serving := find[cmapi.Certificate](t, all, "Certificate", "s3populator")
	deployment := find[appsv1.Deployment](t, all, "Deployment", "s3populator")
	service := find[corev1.Service](t, all, "Service", "s3populator")
	if !root.Spec.IsCA || issuer.Spec.CA == nil || issuer.Spec.CA.SecretName != root.Spec.SecretName ||
		serving.Spec.IssuerRef.Name != issuer.Name {
		t.Errorf("the CA's Secret %s is not that of the issuer %+v of the certificate", root.Spec.SecretName, issuer.Spec.CA)
	}
	if diff := cmp.Diff(dnsNames(service.Name, service.Namespace), serving.Spec.DNSNames); diff != "" {
		t.Errorf("names of the certificate (-own authority +cert-manager):\n%s", diff)
	}
	pod := deployment.Spec.Template.Spec
	var mounted string
	for _, v := range pod.Volumes {
		if v.Secret == nil || v.Secret.SecretName != serving.Spec.SecretName {
			continue
		}
		mounted = v.Name
		if *v.Secret.DefaultMode != 0o444 { // Root's, and there is no fsGroup: OpenShift assigns it.
			t.Errorf("the certificate has mode %o, so that the manager cannot read it", *v.Secret.DefaultMode)
		}
	}
	i := slices.IndexFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == mounted })
	if i < 0 ||
		!slices.Contains(pod.Containers[0].Args, "--certificate-directory="+pod.Containers[0].VolumeMounts[i].MountPath) {
		t.Errorf(
			"the certificate's Secret %s is not where the manager looks: %v",
			serving.Spec.SecretName,
			pod.Containers[0].Args,
		)
	}
	for _, o := range all {
		if o.GetName() == "s3populator-certificates" {
			t.Errorf("%s gives rights that nobody uses", o.GetKind())
		}
		if o.GetKind() == "MutatingWebhookConfiguration" &&
			o.GetAnnotations()["cert-manager.io/inject-ca-from"] != serving.Namespace+"/"+serving.Name {
			t.Errorf("annotations of the webhook configuration: %v", o.GetAnnotations())
		}
	}
}

// TestCertManagerAcceptsTheComponent asks an API server with cert-manager's own CRDs.
func TestCertManagerAcceptsTheComponent(t *testing.T) {
	all := render(t)
	dir, err := exec.CommandContext(
		t.Context(),
		"go",
		"list",
		"-m",
		"-f",
		"{{.Dir}}",
		"github.com/cert-manager/cert-manager",
	).Output()
	if err != nil {
		t.Fatal(err)
	}
	crds := filepath.Join(strings.TrimSpace(string(dir)), "deploy", "crds")
	config := kubetest.APIServer(t, kubetest.Options{CRDs: []string{crds}})
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c = client.WithFieldValidation(c, "Strict")
	namespace := &corev1.Namespace{}
	namespace.Name = "s3populator-system"
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	created := 0
	for _, o := range all {
		if !strings.HasPrefix(o.GetAPIVersion(), "cert-manager.io/") {
			continue
		}
		created++
		if err := c.Create(t.Context(), o); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if created != 4 {
		t.Errorf("created %d objects of cert-manager, want 2 issuers and 2 certificates", created)
	}
}
