// SPDX-License-Identifier: Apache-2.0

// Package manifests_test has a real API server judge every manifest of this folder, with every
// field checked, and helm lint the chart.
package manifests_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/s3populator/s3populator/internal/kubetest"
	"github.com/s3populator/s3populator/internal/testenv"
)

// namespaces that the manifests expect; a dry run makes none.
var namespaces = []string{"s3populator-system", "argocd"}

// everyValue sets each value of the chart that a node of ours can take.
const everyValue = "../e2e/chart/testdata/every.yaml"

// rendered are manifests that a tool makes, by the command that makes them.
var rendered = map[string][]string{
	"default":           {"kubectl", "kustomize", "default"},
	"with cert-manager": {"kubectl", "kustomize", "../certs/testdata/overlay"},
	"samples/overlay":   {"kubectl", "kustomize", "samples/overlay"},
	"chart":             {"helm", "template", "s3populator", "chart", "--namespace", namespaces[0]},
	"chart, every value": {
		"helm", "template", "s3populator", "chart", "--namespace", namespaces[0], "--values",
		everyValue,
	},
	"chart, cert-manager": {
		"helm", "template", "s3populator", "chart", "--namespace", namespaces[0], "--set", "certificates.mode=certManager",
	},
	"samples/third-party":            {"helm", "template", "viewer", "samples/third-party"},
	"samples/third-party, annotated": thirdParty("annotated"),
	"samples/third-party, selected":  thirdParty("selected"),
}

func thirdParty(values string) []string {
	return []string{
		"helm", "template", "viewer", "samples/third-party", "--values", "samples/third-party/" + values + ".values.yaml",
	}
}

// written are manifests that are applied as they are. The Kustomization of Flux is not among
// them: its definition is in no Go module, and gitops/flux_test.go evaluates what it holds.
var written = []string{"samples/*.yaml", "gitops/argocd/argocd-cm.yaml", "crd/s3populator.io_*.yaml"}

func TestEveryManifestPassesADryRun(t *testing.T) {
	helm := program(t, "helm")
	config := kubetest.APIServer(t, kubetest.Options{CRDs: definitions(t)})
	kubectl := kubetest.Program(t, "kubectl")
	makeNamespaces(t, config)
	apply := []string{
		kubectl, "--kubeconfig", kubeconfig(t, config), "apply", "--dry-run=server", "--validate=strict", "-f", "-",
	}
	texts := map[string]string{}
	for name, command := range rendered {
		command = append([]string{map[string]string{"kubectl": kubectl, "helm": helm}[command[0]]}, command[1:]...)
		text, err := run(t, "", command...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		texts[name] = text
	}
	maps.Copy(texts, files(t))
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			if out, err := run(t, text, apply...); err != nil || !strings.Contains(out, "(server dry run)") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("a misspelt field is refused", func(t *testing.T) {
		wrong := strings.Replace(texts["samples/quickstart.yaml"], "bucket:", "bukcet:", 1)
		if _, err := run(t, wrong, apply...); err == nil || !strings.Contains(err.Error(), "bukcet") {
			t.Errorf("the dry run says %v", err)
		}
	})
}

func TestHelmLint(t *testing.T) {
	helm := program(t, "helm")
	for name, flags := range map[string][]string{
		"as it is":    nil,
		"every value": {"--values", everyValue},
	} {
		t.Run(name, func(t *testing.T) {
			if out, err := run(t, "", append([]string{helm, "lint", "--strict", "chart"}, flags...)...); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	t.Run("a chart that is wrong", func(t *testing.T) {
		if out, err := run(t, "", helm, "lint", "--strict", "chart", "--set", "replicas=many"); err == nil {
			t.Errorf("helm lint passes:\n%s", out)
		}
	})
}

// definitions are our kinds, and those of others that a manifest has objects of.
func definitions(t *testing.T) []string {
	t.Helper()
	out, err := run(t, "", "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager")
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		"crd", filepath.Join(strings.TrimSpace(out), "deploy", "crds"), "../e2e/chart/testdata/servicemonitors.yaml",
	}
}

func makeNamespaces(t *testing.T, config *rest.Config) {
	t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range namespaces {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// files are the written manifests by name.
func files(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range written {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s is nothing (%v)", pattern, err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			found[name] = string(text)
		}
	}
	return found
}

// program is a tool beside kubectl.
func program(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(testenv.Variable(t, "KUBEBUILDER_ASSETS"), name)
}

func run(t *testing.T, stdin string, command ...string) (string, error) {
	t.Helper()
	var out, trouble bytes.Buffer
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &trouble
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w: %s", err, &trouble)
	}
	return out.String(), nil
}

// kubeconfig is a file by which kubectl reaches the API server as its administrator.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	const name = "test"
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	c.CurrentContext = name
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		t.Fatal(err)
	}
	return path
}
