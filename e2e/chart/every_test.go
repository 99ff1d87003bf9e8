// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package chart

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// notHere are the values that the release of TestEveryValue does not set, and why.
var notHere = map[string]string{
	"images.manager.digest": "a digest is of a registry, and the node has none; chart_test.go renders it",
	"images.mover.digest":   "as images.manager.digest",
	"hostNetwork":           "an upgrade needs a second node: the replicas have the same port. chart_test.go renders it",
	"crds.keep":             "with crds.enabled false it says nothing; without it all sources would go",
	"certificates.mode":     "TestCertificateOfCertManager sets it",
	"admission.enabled":     "this story sets it afterwards, on top of all others",
}

// bySet are those that are known when the story runs.
var bySet = map[string]bool{"admission.injectionNamespaces": true, "mover.caBundle": true}

// A release with every value at another setting than its own becomes ready, and fills a claim;
// then one without admission does.
func TestEveryValue(t *testing.T) {
	file := filepath.Join("testdata", "every.yaml")
	every, own := values(t, file), values(t, checkout(t, "manifests/chart/values.yaml"))
	for path, value := range leaves("", own) {
		set, here := at(every, path)
		switch {
		case notHere[path] != "" && here:
			t.Errorf("%s is set, and notHere says that it is not", path)
		case notHere[path] == "" && !bySet[path] && (!here || reflect.DeepEqual(set, value)):
			t.Errorf("%s is never at another setting than %v: set it in %s", path, value, file)
		}
	}

	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGWTLS).Put(story.Small("", 4))
	s.Source("source", bucket, func(o *v1alpha1.S3Source) {
		o.Spec.TLS = nil // The authority is in mover.caBundle alone.
		o.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"e2e": "selected"}}
	})
	// Of the listing before the upgrade; and of an old leader that says good-bye while the policy
	// has the new images only.
	s.MayWarn = append([]string{"CertificateInvalid"}, oldLeader...)
	for _, image := range []string{"manager", "mover"} {
		s.Shell(
			"ctr -n k8s.io images tag --force docker.io/s3populator/" + image + ":dev " +
				"registry.example.com/mirrored/" + image + ":played",
		)
	}
	s.Shell("kubectl apply --server-side --filename e2e/chart/testdata/servicemonitors.yaml\n" +
		"kubectl wait --for=condition=Established crd/servicemonitors.monitoring.coreos.com")
	ca := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(ca, bucket.Server.CABundle, 0o600); err != nil {
		t.Fatal(err)
	}
	more := []string{
		"--reset-values",
		"--values",
		file,
		"--set",
		"admission.injectionNamespaces={" + s.Namespace + "}",
		"--set-file",
		"mover.caBundle=" + ca,
	}
	defer func() { // Not a cleanup: those run after the test's context has ended.
		helm(t, "upgrade", "--reset-values")
		works(t)
		s.Shell("kubectl delete --filename e2e/chart/testdata/servicemonitors.yaml")
	}()
	helm(t, "upgrade", more...)
	works(t)
	var selected *corev1.PersistentVolumeClaim
	s.Await("a claim to be selected", func() error {
		selected = s.NewClaim(
			story.Claim{
				Name:        "selected",
				Labels:      map[string]string{"e2e": "selected"},
				Annotations: map[string]string{"example.com/tier": "gold"},
			},
		)
		return s.Selected(selected)
	})
	s.Create(selected)
	s.Populated(selected, bucket.Under(""))
	effects(t, s)

	helm(t, "upgrade", append(more, "--set", "admission.enabled=false")...)
	works(t)
	s.Populated(s.Claim(story.Claim{Name: "named", Source: "source"}), bucket.Under(""))
}

// effects looks for what the settings do to objects that nothing else proves.
func effects(t *testing.T, s *story.Story) {
	t.Helper()
	out := s.Shell("kubectl -n s3populator-system get serviceaccount,deployment,servicemonitor,pods -o yaml; " +
		"kubectl -n s3populator-system get poddisruptionbudget,networkpolicy -o name")
	for _, text := range []string{
		"e2e/account", "e2e/common", "e2e/deployment", "e2e/monitor", "e2e/pod", "interval: 15s",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("nothing in the manager's namespace has %s", text)
		}
	}
	for _, text := range []string{"poddisruptionbudget", "networkpolicy.networking"} {
		if strings.Contains(out, text) {
			t.Errorf("there is a %s that the values turn off", text)
		}
	}
}

func values(t *testing.T, file string) (all map[string]any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatal(fmt.Errorf("read %s: %w", file, err))
	}
	return all
}

// leaves are what an administrator may set: scalars, lists, empty maps, and the maps that are
// Kubernetes' own and are replaced as a whole.
func leaves(path string, all map[string]any) map[string]any {
	out := map[string]any{}
	for key, value := range all {
		below, isMap := value.(map[string]any)
		here := path + key
		if isMap && len(below) > 0 && here != "resources" && here != "podSecurityContext" && here != "securityContext" {
			maps.Copy(out, leaves(here+".", below))
			continue
		}
		out[here] = value
	}
	return out
}

func at(all map[string]any, path string) (any, bool) {
	var value any = all
	for key := range strings.SplitSeq(path, ".") {
		below, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = below[key]; !ok {
			return nil, false
		}
	}
	return value, true
}
