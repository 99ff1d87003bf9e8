// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares an object, as YAML, with a file of testdata.
func golden(t *testing.T, name string, object any) {
	t.Helper()
	got, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func testOptions() MoverOptions {
	return MoverOptions{
		Defaults:    moverpod.Defaults{RunAs: moverpod.NonRoot},
		Image:       moverpod.Image{Name: "s3populator/mover:v1", PullPolicy: corev1.PullIfNotPresent},
		ProgressURL: "https://s3populator.s3populator-system.svc",
		ProgressCA:  "PEM",
	}
}

func TestBuiltObjects(t *testing.T) {
	t.Run("a prime of a late class", func(t *testing.T) {
		s := world(lateClass, claimNode)
		s.Claim.Annotations["example.com/tier"] = "gold"
		s.Claim.Annotations["example.com/secret"] = "no"
		s.Claim.Spec.VolumeAttributesClassName = new("gold")
		golden(t, "prime.yaml", Prime(s, []string{"example.com/tier", "example.com/absent"}))
	})
	t.Run("a mover", func(t *testing.T) {
		s := world(boundPrime)
		s.Source.Spec.Credentials = &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "keys"}}
		s.Source.Spec.TLS = &v1alpha1.TLS{
			CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}}},
		}
		pod, err := Mover(s, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "mover.yaml", pod)
	})
	t.Run("a mover of a device", func(t *testing.T) {
		s := world(boundPrime, blockMode)
		s.Source.Spec.Objects = []v1alpha1.S3Object{{Key: "disk.img"}}
		s.Source.Spec.Credentials = &v1alpha1.Credentials{ServiceAccountName: "reader"}
		pod, err := Mover(s, testOptions())
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "mover_block.yaml", pod)
	})
	t.Run("a consumer", func(t *testing.T) {
		s := world(immediately, withPrime)
		s.Source.Spec.Credentials = &v1alpha1.Credentials{ServiceAccountName: "reader"}
		s.Source.Spec.Mover.NodeSelector = map[string]string{"disk": "fast"}
		golden(t, "consumer.yaml", Consumer(s, testOptions()))
	})
	t.Run("a prime that knows its node", func(t *testing.T) {
		p := Prime(world(immediately, knowsCapture), nil)
		if got := p.Annotations[v1alpha1.AnnotationSelectedNode]; got != "a" {
			t.Errorf("its node is %q", got)
		}
	})
	t.Run("the rebind of a retained volume", func(t *testing.T) {
		s := world(filledPrime)
		s.PrimeVolume.Annotations[v1alpha1.AnnotationReclaimPolicy] = "Retain"
		goldenPatch(t, "rebind.json", func() ([]byte, error) { return RebindPatch(s) })
	})
	t.Run("the mark of a scratch volume", func(t *testing.T) {
		s := world(boundPrime, retained)
		goldenPatch(t, "scratch.json", func() ([]byte, error) { return ScratchPatch(s) })
	})
}

func goldenPatch(t *testing.T, name string, build func() ([]byte, error)) {
	t.Helper()
	raw, err := build()
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	golden(t, name, v)
}

func TestPrimeModes(t *testing.T) {
	cases := map[string]struct {
		in, want []corev1.PersistentVolumeAccessMode
	}{
		"writers stay as they are": {
			[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
			[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteMany},
		},
		"a single pod stays single": {
			[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
			[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteOncePod},
		},
		"readers need a writer first": {
			[]corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany},
			[]corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce, corev1.ReadOnlyMany},
		},
		"readers beside writers need no further": {
			[]corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteOnce},
			[]corev1.PersistentVolumeAccessMode{corev1.ReadOnlyMany, corev1.ReadWriteOnce},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, writable(c.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPrimeGrows(t *testing.T) {
	s := world(growing, inventory)
	got := Prime(s, nil).Spec.Resources.Requests[corev1.ResourceStorage]
	if want := resource.MustParse("5Gi"); got.Cmp(want) != 0 {
		t.Errorf("prime of a 1Gi claim for 4Gi of data requests %s, want %s", got.String(), want.String())
	}
	s.Claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("9Gi")
	got = Prime(s, nil).Spec.Resources.Requests[corev1.ResourceStorage]
	if want := resource.MustParse("9Gi"); got.Cmp(want) != 0 {
		t.Errorf("prime of a 9Gi claim requests %s: it must never shrink", got.String())
	}
}

func TestImportNamesAreShortAndDistinct(t *testing.T) {
	s := world()
	s.Claim.Name = strings.Repeat("x", 253)
	name := ImportName(s.Claim)
	if len(name) > 253 || !strings.HasSuffix(name, "-11111111") {
		t.Errorf("name %q", name)
	}
}

// A mover that nobody saw end, because no manager ran and its pod was collected, is known
// from the import: what it left is to be proven, not refused.
func TestAttemptsAreCountedFromTheImportToo(t *testing.T) {
	s := world(boundPrime, withImport, func(s *State) { s.Import.Status.Attempts = 1 })
	pod, err := Mover(s, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	if n := AttemptOf(pod); n != 2 {
		t.Errorf("attempt %d after one that the import knows of", n)
	}
}

// TestARunReachesTheMover, and the hash of what is asked for: another run below the same prefix is another request.
func TestARunReachesTheMover(t *testing.T) {
	s := world(boundPrime)
	plain := RequestHash(s.Source, s.Claim)
	s.Source.Status.FromExport = &v1alpha1.SourceExport{UID: "e-1", Prefix: "runs/1/", ManifestDigest: "sha256:1"}
	pod, err := Mover(s, testOptions())
	if err != nil {
		t.Fatal(err)
	}
	request, err := wire.ParseArgs(pod.Spec.Containers[0].Args)
	want := wire.ExportedRun{UID: "e-1", Prefix: "runs/1/", Digest: "sha256:1"}
	if err != nil || request.Policy.Run != want || RequestHash(s.Source, s.Claim) == plain {
		t.Errorf("the mover is told %+v (%v), want %+v", request.Policy.Run, err, want)
	}
}
