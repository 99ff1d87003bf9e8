// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// sample is how an example of manifests/samples is played: its objects are applied as they
// stand, with the values of this site, and the claims come up with exactly the bytes.
type sample struct {
	first  []string          // examples that the guide shows before this one
	server story.Server      // default: MinIO
	keys   map[string][]byte // what the bucket holds
	claim  *story.Claim      // that uses the source, where the example has none
	given  func(*story.Story, *story.Bucket, *story.Site)
	ends   func(*story.Story, *story.Bucket) // before the claims are read
	want   func(*story.Bucket) story.Content
	warns  []string
	// ordinary pods do not satisfy the restricted Pod Security Standard, as those of examples.
	ordinary bool
	// elsewhere names the story that plays it; read says why it is only read here.
	elsewhere, read string
}

// TestSamples plays every file of manifests/samples.
func TestSamples(t *testing.T) {
	t.Parallel()
	root, err := story.Checkout("manifests/samples")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		file, _ := filepath.Rel(root, path) // both are absolute
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		found++
		row, ok := samples[file]
		if !ok && filepath.Dir(file) != "third-party" && filepath.Dir(file) != "third-party/templates" {
			t.Errorf("manifests/samples/%s is never played: give it a row in samples", file)
		}
		if !ok || row.elsewhere != "" {
			return nil
		}
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			play(t, file, row)
		})
		return nil
	})
	if err != nil || found < len(samples) {
		t.Errorf("there are %d samples and %d rows: %v", found, len(samples), err)
	}
}

func play(t *testing.T, file string, row sample) {
	s := story.Begin(t, world)
	s.MayWarn = row.warns // Helm and kubectl may be quicker than the manager
	s.Untouched = row.read != ""
	if row.read != "" {
		s.Kubectl(
			"apply",
			"--server-side",
			"--validate=strict",
			"--dry-run=server",
			"--filename",
			s.File("manifests/samples/"+file),
		)
		return
	}
	if row.ordinary {
		s.Label("pod-security.kubernetes.io/enforce", "baseline")
	}
	if row.server == "" {
		row.server = story.MinIO
	}
	bucket := s.Bucket(row.server).Put(row.keys)
	site := story.Site{Bucket: bucket, Class: story.LateDelete}
	if row.given != nil {
		row.given(s, bucket, &site)
	}
	s.Keys("s3-reader", "access_key", "secret_key", bucket)
	claims := apply(s, site, append(slices.Clone(row.first), file))
	if row.ends != nil {
		row.ends(s, bucket)
	}
	if row.claim != nil {
		claims = []string{s.Claim(*row.claim).Name}
	}
	for _, name := range claims {
		claim, _ := s.Bound(name)
		if !row.isBlock(s, claim, bucket) {
			s.AssertContent(s.Reader(claim), row.want(bucket))
		}
	}
}

// apply is `kubectl apply` of examples; it returns the names of the claims that this makes.
func apply(s *story.Story, site story.Site, files []string) (claims []string) {
	s.T.Helper()
	for _, file := range files {
		for _, o := range s.Sample(file) {
			s.Fit(o, site)
			s.Apply(o, "--server-side", "--force-conflicts", "--validate=strict")
			switch o := o.(type) {
			case *corev1.PersistentVolumeClaim:
				claims = append(claims, o.Name)
			case *appsv1.StatefulSet:
				for i := range *o.Spec.Replicas {
					claims = append(claims, o.Spec.VolumeClaimTemplates[0].Name+"-"+o.Name+"-"+string('0'+i))
				}
			}
		}
	}
	return claims
}

// isBlock compares the device of a Block claim with the one object.
func (row sample) isBlock(s *story.Story, claim *corev1.PersistentVolumeClaim, b *story.Bucket) bool {
	s.T.Helper()
	if claim.Spec.VolumeMode == nil || *claim.Spec.VolumeMode != corev1.PersistentVolumeBlock {
		return false
	}
	for key, object := range row.want(b) {
		if got := s.DeviceSum(claim, object.Size); got != object.SHA256 {
			s.T.Errorf("the device begins with sha256 %s, object %s has %s", got, key, object.SHA256)
		}
	}
	return true
}

// prefixed is what a volume holds that is filled from a prefix.
func prefixed(prefix string) func(*story.Bucket) story.Content {
	return func(b *story.Bucket) story.Content { return b.Under(prefix) }
}

// running waits until a pod of an example runs.
func running(name string) func(*story.Story, *story.Bucket) {
	return func(s *story.Story, _ *story.Bucket) {
		s.Await("pod "+name+" to run", func() error {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name}}
			if err := s.Find(pod); err != nil || pod.Status.Phase != corev1.PodRunning {
				return errors.Join(errors.New("it does not"), err)
			}
			return nil
		})
	}
}

// selects waits until claims with a label are given a source.
func selects(labels map[string]string) func(*story.Story, *story.Bucket) {
	return func(s *story.Story, _ *story.Bucket) {
		s.Await("claims to be selected", func() error {
			return s.Selected(s.NewClaim(story.Claim{Labels: labels}))
		})
	}
}

// renamed takes the objects of a llama under the names that the example gives them.
func renamed(b *story.Bucket) story.Content {
	return b.Where(func(key string) (string, bool) {
		name, below := strings.CutPrefix(key, "llama/2026-03/")
		return name, below && name != "notes.txt" || key == "licenses/llama.txt"
	})
}

// injected is what an administrator writes on a namespace whose claims are selected.
func injected(s *story.Story, _ *story.Bucket, _ *story.Site) {
	s.Label(v1alpha1.LabelInjection, v1alpha1.InjectionEnabled)
}
