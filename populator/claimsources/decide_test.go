// SPDX-License-Identifier: Apache-2.0

package claimsources

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

func claim(change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "ml", UID: "u-1", Annotations: map[string]string{
			v1alpha1.AnnotationURL: "s3://datasets/a", v1alpha1.AnnotationRegion: "eu-west-1",
		}},
		Spec: corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{
			APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source, Name: "data-1234567890",
		}},
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func annotate(name, value string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Annotations[name] = value }
}

// made is the source that was made for a claim, as the API server returns it.
func made(t *testing.T, from *corev1.PersistentVolumeClaim, change ...func(*v1alpha1.S3Source)) *v1alpha1.S3Source {
	t.Helper()
	s, errs := annotated.Source(from)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s.ResourceVersion = "5"
	s.Spec.Addressing = "Auto" // A default of the schema.
	for _, f := range change {
		f(s)
	}
	return s
}

func TestDecide(t *testing.T) {
	deleted := func(c *corev1.PersistentVolumeClaim) { c.DeletionTimestamp = &metav1.Time{} }
	bound := func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv-1" }
	named := func(name, generate, source string) func(*corev1.PersistentVolumeClaim) {
		return func(c *corev1.PersistentVolumeClaim) {
			c.Name, c.GenerateName, c.Spec.DataSourceRef.Name = name, generate, source
		}
	}
	edited := func(s *v1alpha1.S3Source) { s.Spec.Prefix = "by-hand/"; s.Labels["team"] = "a" }
	ownedBy := func(kind, name string, uid types.UID) func(*v1alpha1.S3Source) {
		return func(s *v1alpha1.S3Source) {
			s.OwnerReferences = []metav1.OwnerReference{{Kind: kind, Name: name, UID: uid, Controller: new(true)}}
		}
	}
	tests := map[string]struct {
		claim      *corev1.PersistentVolumeClaim
		existing   *v1alpha1.S3Source
		want       action
		wantReason v1alpha1.Reason
		wantAgain  time.Duration
		wantPrefix string
	}{
		"a new claim gets its source": {claim: claim(), want: create, wantPrefix: "a"},
		"a made source is left alone": {claim: claim(), existing: made(t, claim()), want: wait},
		"an edit of it by hand stays": {
			claim:    claim(),
			existing: made(t, claim(), edited),
			want:     wait,
		},
		"a corrected annotation is followed": {
			claim:      claim(annotate(v1alpha1.AnnotationURL, "s3://datasets/b")),
			existing:   made(t, claim(), edited),
			want:       update,
			wantPrefix: "b",
		},
		"a bound claim's source is provenance": {
			claim:    claim(bound, annotate(v1alpha1.AnnotationURL, "s3://datasets/b")),
			existing: made(t, claim()),
			want:     wait,
		},
		"a bound claim's lost source is not made again": {claim: claim(bound), want: wait},
		"a claim that is going gets nothing":            {claim: claim(deleted), want: wait},
		"annotations that became invalid are told of": {
			claim:      claim(annotate(v1alpha1.AnnotationURL, "datasets")),
			existing:   made(t, claim()),
			want:       wait,
			wantReason: v1alpha1.ReasonInvalidAnnotations,
		},
		"they are told of before there is a source": {
			claim:      claim(annotate(v1alpha1.AnnotationURL, "datasets")),
			want:       wait,
			wantReason: v1alpha1.ReasonInvalidAnnotations,
		},
		"the source of a predecessor is waited for": {
			claim:     claim(),
			existing:  made(t, claim(), ownedBy("PersistentVolumeClaim", "data", "u-0")),
			want:      wait,
			wantAgain: collection,
		},
		"the source of another claim is not touched": {
			claim:      claim(),
			existing:   made(t, claim(), ownedBy("PersistentVolumeClaim", "other", "u-9")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"a source that somebody wrote is not touched": {
			claim:      claim(),
			existing:   made(t, claim(), func(s *v1alpha1.S3Source) { s.OwnerReferences = nil }),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"a source of another kind's owner is not touched": {
			claim:      claim(),
			existing:   made(t, claim(), ownedBy("Deployment", "data", "u-1x")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"a source that is going is not updated": {
			claim:    claim(annotate(v1alpha1.AnnotationURL, "s3://datasets/b")),
			existing: made(t, claim(), func(s *v1alpha1.S3Source) { s.DeletionTimestamp = &metav1.Time{} }),
			want:     wait,
		},
		"a name that others wait for is not taken": {
			claim:      claim(named("data", "", "imagenet")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"nor the name of another claim's source": {
			claim:      claim(named("zzz", "", "data-1234567890")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"nor that by way of a generated name": {
			claim:      claim(named("zzz", "data", "data-1234567890")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"nor one that only begins like it": {
			claim:      claim(named("data", "", "data-of-everyone")),
			want:       wait,
			wantReason: v1alpha1.ReasonSourceConflict,
		},
		"a generated claim gets its source": {
			claim:      claim(named("data-x7k2p", "data-", "data-1234567890")),
			want:       create,
			wantPrefix: "a",
		},
		"a claim that is sized by its source gets inventory back": {
			claim:      claim(annotate(v1alpha1.AnnotationAutoSize, "true")),
			existing:   made(t, claim()),
			want:       update,
			wantPrefix: "a",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := decide(tt.claim, tt.existing)
			if got.Action != tt.want || got.Reason != tt.wantReason || got.Recheck != tt.wantAgain ||
				(got.Note == "") != (tt.wantReason == "") {
				t.Fatalf(
					"decided %q, reason %q, again in %s, note %q; want %q, %q, %s",
					got.Action,
					got.Reason,
					got.Recheck,
					got.Note,
					tt.want,
					tt.wantReason,
					tt.wantAgain,
				)
			}
			if got.Source != nil && got.Source.Spec.Prefix != tt.wantPrefix {
				t.Errorf("writes prefix %q, want %q", got.Source.Spec.Prefix, tt.wantPrefix)
			}
		})
	}
}

func TestAnUpdateKeepsWhatOthersWrote(t *testing.T) {
	existing := made(t, claim(), func(s *v1alpha1.S3Source) {
		s.Labels["team"], s.Annotations["team"] = "a", "a"
		s.Status.Failures = 3
	})
	got := decide(claim(annotate(v1alpha1.AnnotationAutoSize, "true")), existing).Source
	want := existing.DeepCopy()
	want.Spec = v1alpha1.S3SourceSpec{
		S3Location: v1alpha1.S3Location{Region: "eu-west-1", Bucket: "datasets"},
		Prefix:     "a",
		Sizing:     v1alpha1.Sizing{OnTooSmall: v1alpha1.TooSmallGrow},
	}
	delete(want.Annotations, v1alpha1.AnnotationInventory)
	want.Annotations[v1alpha1.AnnotationMadeFrom] = got.Annotations[v1alpha1.AnnotationMadeFrom]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("updated source (-want +got):\n%s", diff)
	}
	if existing.Spec.Prefix != "a" || existing.Annotations[v1alpha1.AnnotationInventory] == "" {
		t.Error("the cached source was changed")
	}
}

func TestWantedIsWhatTheWebhookMade(t *testing.T) {
	tests := map[string]struct {
		claim *corev1.PersistentVolumeClaim
		want  bool
	}{
		"annotated and referring to our kind": {claim: claim(), want: true},
		"not annotated":                       {claim: claim(func(c *corev1.PersistentVolumeClaim) { c.Annotations = nil })},
		"annotated, but the webhook was not there": {claim: claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef = nil
		})},
		"annotated, but referring to another kind": {claim: claim(func(c *corev1.PersistentVolumeClaim) {
			c.Spec.DataSourceRef.Kind = "VolumeSnapshot"
		})},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := wanted(tt.claim); got != tt.want {
				t.Errorf("wanted: %t, want %t", got, tt.want)
			}
			if tt.want && !strings.HasPrefix(tt.claim.Spec.DataSourceRef.Name, tt.claim.Name) {
				t.Error("the source's name does not begin with the claim's")
			}
		})
	}
}
