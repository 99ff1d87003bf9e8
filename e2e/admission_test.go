// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A chart that lets its user set annotations only is enough: the claims of a StatefulSet
// that name a source by one come up full.
func TestAnnotatedStatefulSet(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 6))
	s.Source("source", bucket)
	s.StatefulSet(
		"web",
		2,
		story.Claim{Class: story.LateDelete, Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}},
	)
	for _, name := range []string{"data-web-0", "data-web-1"} {
		claim, _ := s.Bound(name)
		s.AssertContent(s.Reader(claim), bucket.Under(""))
	}
}

// located are the annotations that describe a bucket.
func located(b *story.Bucket, path string) map[string]string {
	return map[string]string{
		v1alpha1.AnnotationURL: "s3://" + b.Name + "/" + path, v1alpha1.AnnotationEndpoint: b.Server.Endpoint,
		v1alpha1.AnnotationSecret: "keys",
	}
}

func keys(s *story.Story, b *story.Bucket) {
	s.Create(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "keys", Namespace: s.Namespace}, StringData: map[string]string{
			"access_key": b.Server.AccessKey, "secret_key": b.Server.SecretKey,
		}},
	)
}

// Claims that name a URL get a source each, which goes with them; equal annotations share
// nothing, so deleting one claim takes nothing from the other.
func TestAnnotatedURL(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("set/", 6)).Put(map[string][]byte{"other.txt": []byte("not ours")})
	keys(s, bucket)
	one := s.Claim(story.Claim{Name: "one", Annotations: located(bucket, "set/")})
	two := s.Claim(story.Claim{Name: "two", Annotations: located(bucket, "set/")})
	s.Populated(one, bucket.Under("set/"))
	source := s.Get(one.Spec.DataSourceRef.Name)
	if !metav1.IsControlledBy(source, one) || source.Status.Inventory != nil {
		t.Errorf(
			"the source of the claim is owned by %v and has inventory %v",
			source.OwnerReferences,
			source.Status.Inventory,
		)
	}
	s.Delete(one)
	s.Gone(source)
	s.Populated(two, bucket.Under("set/"))
}

// Annotations that lead nowhere may be corrected until the claim is bound: its source
// follows, and population begins again.
func TestAnnotationsCorrected(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{"NoSuchBucket"}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	keys(s, bucket)
	wrong := located(bucket, "")
	wrong[v1alpha1.AnnotationURL] = "s3://no-such-bucket/"
	claim := s.Claim(story.Claim{Annotations: wrong})
	s.WaitForCondition(claim.Name, "NoSuchBucket", "no-such-bucket")
	story.Update(s, claim, func(c *corev1.PersistentVolumeClaim) {
		c.Annotations[v1alpha1.AnnotationURL] = located(bucket, "")[v1alpha1.AnnotationURL]
	})
	s.Recovered(claim.Name)
	s.AssertContent(s.Reader(claim), bucket.Under(""))
}

// A dry run makes nothing.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	claim := s.NewClaim(
		story.Claim{
			Annotations: map[string]string{
				v1alpha1.AnnotationURL:      "s3://datasets/",
				v1alpha1.AnnotationEndpoint: "http://s3.test:9000",
			},
		},
	)
	if err := world.Client.Create(t.Context(), claim, client.DryRunAll); err != nil || claim.Spec.DataSourceRef == nil {
		t.Fatalf("dry run: %v, dataSourceRef %v", err, claim.Spec.DataSourceRef)
	}
	// What the manager makes for a claim that does exist shows that it had the time.
	other := s.Claim(story.Claim{Name: "real", Annotations: claim.Annotations})
	s.Await("the real claim's source", func() error {
		return s.Find(
			&v1alpha1.S3Source{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: other.Spec.DataSourceRef.Name}},
		)
	})
	var all v1alpha1.S3SourceList
	if err := world.Client.List(t.Context(), &all, client.InNamespace(s.Namespace)); err != nil || len(all.Items) != 1 {
		t.Errorf("there are %d sources (%v), want that of the real claim only", len(all.Items), err)
	}
	s.MayWarn = []string{"EndpointUnreachable", "EndpointNotResolved"} // if a mover is that quick
}

// In a namespace with the injection label a source selects claims by their labels; two
// sources that select one claim are refused, both by name.
func TestSelected(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	story.Update(s, space, func(n *corev1.Namespace) { n.Labels[v1alpha1.LabelInjection] = v1alpha1.InjectionEnabled })
	bucket := s.Bucket(story.VersityGW).Put(story.Small("", 6))
	selecting := func(value string) func(*v1alpha1.S3Source) {
		return func(o *v1alpha1.S3Source) {
			o.Spec.ClaimSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": value}}
		}
	}
	s.Source("models", bucket, selecting("models"))
	// The manager's cache, and the API server's view of the namespace, follow in a moment.
	s.Await("a claim to be selected", func() error {
		claim := s.NewClaim(story.Claim{Labels: map[string]string{"app": "models"}})
		if err := world.Client.Create(t.Context(), claim, client.DryRunAll); err != nil || claim.Spec.DataSourceRef == nil {
			return errors.Join(errors.New("it is not selected"), err)
		}
		return nil
	})
	claim := s.Claim(story.Claim{Labels: map[string]string{"app": "models"}})
	s.Populated(claim, bucket.Under(""))
	plain := s.Claim(story.Claim{Name: "plain", Labels: map[string]string{"app": "else"}})
	if plain.Spec.DataSourceRef != nil {
		t.Errorf("a claim that nothing selects has %v", plain.Spec.DataSourceRef)
	}
	s.Source("again", bucket, selecting("models"))
	s.Await("the second source to be known", func() error {
		err := world.Client.Create(
			t.Context(),
			s.NewClaim(story.Claim{Name: "torn", Labels: map[string]string{"app": "models"}}),
			client.DryRunAll,
		)
		if err == nil || !strings.Contains(err.Error(), "S3Sources again, models all select this claim") {
			return errors.Join(errors.New("the claim is not refused"), err)
		}
		return nil
	})
}

// A claim that asks for auto-size gets a volume as large as its source needs, whether the
// size was known when it was created or not. What its user wrote stays as it is written, so
// the same manifest can be applied before, while and after.
func TestAutoSize(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(map[string][]byte{"big.bin": story.Bytes(3, 40*story.MiB)})
	known := s.Source("known", bucket)
	s.Ready(known, metav1.ConditionTrue, "")
	auto := func(more map[string]string) map[string]string {
		more[v1alpha1.AnnotationAutoSize] = v1alpha1.AutoSizeOn
		return more
	}
	keys(s, bucket)
	for name, annotations := range map[string]map[string]string{
		"known":   {v1alpha1.AnnotationSource: "known"},
		"unknown": located(bucket, ""),
	} {
		manifest := s.NewClaim(story.Claim{Name: name, Size: "1Mi", Annotations: auto(annotations)})
		s.Apply(manifest)
		s.Apply(manifest) // The mover has not even begun.
		claim, _ := s.Populated(manifest, bucket.Under(""))
		if have := claim.Status.Capacity[corev1.ResourceStorage]; have.Cmp(resource.MustParse("40Mi")) < 0 {
			t.Errorf("claim %s has %s", name, have.String())
		}
		s.Apply(manifest)
		if asks := claim.Spec.Resources.Requests[corev1.ResourceStorage]; asks.Cmp(resource.MustParse("1Mi")) != 0 {
			t.Errorf("claim %s asks for %s, its manifest for 1Mi", name, asks.String())
		}
	}
}

// What would silently be an empty volume is refused, with the fix.
func TestRefusedClaims(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Untouched = true
	old := s.NewClaim(story.Claim{})
	old.Spec.DataSource = &corev1.TypedLocalObjectReference{
		APIGroup: new(v1alpha1.Group),
		Kind:     v1alpha1.KindS3Source,
		Name:     "source",
	}
	s.Refused(old, "write it as spec.dataSourceRef instead")
	far := s.NewClaim(story.Claim{Source: "source"})
	far.Spec.DataSourceRef.Namespace = new("elsewhere")
	s.Refused(far, "spec.dataSourceRef.namespace")
	s.Refused(
		s.NewClaim(story.Claim{Source: "one", Annotations: map[string]string{v1alpha1.AnnotationSource: "two"}}),
		"remove one of them",
	)
	s.Refused(
		s.NewClaim(story.Claim{Annotations: map[string]string{v1alpha1.AnnotationURL: "https://minio:9000/datasets"}}),
		"must begin with s3://",
	)
	s.Refused(
		s.NewClaim(story.Claim{Annotations: map[string]string{v1alpha1.Group + "/sorce": "x"}}),
		"s3populator.io/sorce asks S3 volume populator for data",
	)
}

// Without a manager, claims that ask for it are refused instead of coming up empty; all
// others are created as ever. It is not parallel: the other stories need the manager.
func TestManagerDown(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	s.ScaleManager(0)
	defer s.ScaleManager(2) // not a cleanup: those run after the test's context has ended
	plain := s.Claim(story.Claim{Name: "plain"})
	s.WaitForPhase(plain, corev1.ClaimBound)
	s.Refused(
		s.NewClaim(story.Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}}),
		"claims.s3populator.io",
	)
	s.Refused(s.NewClaim(story.Claim{Source: "source"}), "claims.s3populator.io")
}

// A manager that is replaced, replica by replica, refuses nobody meanwhile.
func TestRollingRestart(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	reviews := world.Reviews(t.Context(), s.Namespace)
	defer reviews.End()
	s.RestartManager()
	s.NoneRefused(reviews)
}
