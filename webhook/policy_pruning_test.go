// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// pruningSince is what the manager believes of a run.
func pruningSince(e *v1alpha1.S3Export) string { return string(e.UID) + " 2026-01-02T03:00:00Z" }

// testPruning: the manager alone says that what a run has exported is being removed.
func (c *cast) testPruning(t *testing.T) {
	plain, marked := s3Export("kept"), s3Export("removed")
	c.create(t, plain)
	c.create(t, marked)
	copied := s3Export("copy")
	copied.Annotations = map[string]string{v1alpha1.AnnotationPruning: pruningSince(marked)}
	type write = func(by client.Client, options ...client.PatchOption) error
	patch := func(e *v1alpha1.S3Export, text string) write {
		return func(by client.Client, options ...client.PatchOption) error {
			return by.Patch(t.Context(), e.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(text)), options...)
		}
	}
	mark := func(e *v1alpha1.S3Export, value string) write {
		return patch(e, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationPruning, value))
	}
	if err := mark(marked, pruningSince(marked))(c.as[ourselves]); err != nil {
		t.Fatalf("the manager marks a run: %v", err)
	}
	const refused, another = "only S3 volume populator writes it", `{"metadata":{"annotations":{"a":"b"}}}`
	const unmarked = `{"metadata":{"annotations":{"s3populator.io/pruning":null}}}`
	for name, tt := range map[string]struct {
		do   write
		want string // In the refusal; empty where it may be.
	}{
		"marking a run":                    {do: mark(plain, pruningSince(plain)), want: refused},
		"marking it since no time":         {do: mark(plain, string(plain.UID)+" "), want: refused},
		"marking it for another":           {do: mark(plain, pruningSince(marked)), want: refused},
		"changing the time":                {do: mark(marked, string(marked.UID)+" 2026-01-02T03:00:01Z"), want: refused},
		"taking the mark away":             {do: patch(marked, unmarked), want: refused},
		"taking all annotations away":      {do: patch(marked, `{"metadata":{"annotations":null}}`), want: refused},
		"writing what is there":            {do: mark(marked, pruningSince(marked))},
		"another annotation":               {do: patch(plain, another)},
		"another annotation beside a mark": {do: patch(marked, another)},
		"a field of one that is marked":    {do: patch(marked, `{"spec":{"suspend":true}}`)},
		"restoring one from a backup": {do: func(by client.Client, _ ...client.PatchOption) error {
			return by.Create(t.Context(), copied.DeepCopy(), client.DryRunAll)
		}},
		"deleting one": {do: func(by client.Client, _ ...client.PatchOption) error {
			return by.Delete(t.Context(), marked.DeepCopy(), client.DryRunAll)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, "who may do anything with S3Exports", tt.do(c.as[exporter], client.DryRunAll), tt.want)
			checkOutcome(t, "an administrator", tt.do(c.as[root], client.DryRunAll), tt.want)
		})
	}
	c.testPruningByStatus(t, plain)
}

// testPolicyOfRun: no run is given to a policy, which would remove it with its older ones; it may be taken from one.
func (c *cast) testPolicyOfRun(t *testing.T) {
	reference := func(kind string, uid types.UID, controls bool) metav1.OwnerReference {
		return metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: "nightly", UID: uid, Controller: new(controls),
		}
	}
	owned := func(name string, by ...metav1.OwnerReference) *v1alpha1.S3Export {
		e := s3Export(name)
		e.OwnerReferences = by
		return e
	}
	made, users := owned("of-policy", reference("S3ExportPolicy", "p-1", true)), owned("of-user")
	beside := owned("beside-policy", reference("S3ExportPolicy", "p-1", false))
	for _, e := range []*v1alpha1.S3Export{made, users, beside} {
		c.create(t, e)
	}
	const refused = "cannot be given to an S3ExportPolicy that has not made it"
	for name, tt := range map[string]struct {
		run  *v1alpha1.S3Export
		to   []metav1.OwnerReference
		want string
	}{
		"a user's to a policy":          {users, []metav1.OwnerReference{reference("S3ExportPolicy", "p-1", true)}, refused},
		"one of a policy to another":    {made, []metav1.OwnerReference{reference("S3ExportPolicy", "p-2", true)}, refused},
		"one that names a policy to it": {beside, []metav1.OwnerReference{reference("S3ExportPolicy", "p-1", true)}, refused},
		"one of a policy to nobody":     {made, nil, ""},
		"one of a policy to it, and to something of the user's": {made, []metav1.OwnerReference{
			reference("S3ExportPolicy", "p-1", true), reference("Backup", "b-1", false),
		}, ""},
		"a user's to something else": {users, []metav1.OwnerReference{reference("Backup", "b-1", true)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, by := range []string{exporter, root} {
				changed := tt.run.DeepCopy()
				changed.OwnerReferences = tt.to
				err := c.as[by].Patch(t.Context(), changed, client.MergeFrom(tt.run), client.DryRunAll)
				checkOutcome(t, by, err, tt.want)
			}
		})
	}
}

// testPruningByStatus: who writes the status writes no annotation, so no policy has to judge that.
func (c *cast) testPruningByStatus(t *testing.T, e *v1alpha1.S3Export) {
	text := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationPruning, pruningSince(e))
	raw := client.RawPatch("application/merge-patch+json", []byte(text))
	if err := c.as[root].Status().Patch(t.Context(), e.DeepCopy(), raw); err != nil {
		t.Fatal(err)
	}
	now := &v1alpha1.S3Export{}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(e), now); err != nil || len(now.Annotations) > 0 {
		t.Errorf("the annotations are %v, %v", now.Annotations, err)
	}
}
