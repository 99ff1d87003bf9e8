// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// said is what one write of a claim's status says.
type said struct {
	Metadata struct {
		UID             string            `json:"uid"`
		ResourceVersion string            `json:"resourceVersion"`
		Annotations     map[string]string `json:"annotations"`
	} `json:"metadata"`
	Status struct {
		Conditions []corev1.PersistentVolumeClaimCondition `json:"conditions"`
	} `json:"status"`
}

// writes are those of a pass on the status of the claim. The API server takes the annotation with them, as
// TestRequests shows; the fake does not.
func writes(t *testing.T, w *world) (all []said) {
	t.Helper()
	s := server(t, w)
	heard := interceptor.NewClient(s, interceptor.Funcs{SubResourcePatch: func(
		ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch,
		opts ...client.SubResourcePatchOption,
	) error {
		text, err := patch.Data(o)
		if err != nil {
			return err
		}
		var write said
		if err := json.Unmarshal(text, &write); err != nil {
			return err
		}
		all = append(all, write)
		return c.SubResource(sub).Patch(ctx, o, patch, opts...)
	}})
	pass(t, &kubetest.Process{}, heard, s, hour(5))
	return all
}

func ofClaim(e *v1alpha1.S3Export) { e.Status.ClaimUID = "c-1" }

// TestFilesAreNoted in the write that tells of the run: before the claim says that it is exported, nothing is lost with
// the S3Exports that it owns.
func TestFilesAreNoted(t *testing.T) {
	const complete = v1alpha1.ConditionComplete
	emptied := func(e *v1alpha1.S3Export) { e.Status.ClaimUID, e.Status.Objects = "c-1", 0 }
	noted := func(run string, files int64, at int) string {
		return annotated.Files{
			Claim: "c-1", Run: run, UID: types.UID("uid-" + run), Files: files, At: hour(at),
		}.String()
	}
	linksOf := func(run string, links int64, at int) string {
		return annotated.Files{Claim: "c-1", Run: run, UID: types.UID("uid-" + run), Links: links, At: hour(at)}.String()
	}
	note := func(run string) string { return noted(run, 7, map[string]int{"1": 1, "2": 2}[run]) }
	for name, tt := range map[string]struct {
		world *world
		want  string
	}{
		"the first":   {newWorld(hour(5)).export("1", complete, hour(1), ofClaim), note("1")},
		"a later one": {newWorld(hour(5), "exported-files", note("1")).export("2", complete, hour(2), ofClaim), note("2")},
		"links alone": {newWorld(hour(5)).export("1", complete, hour(1), ofClaim, linked), linksOf("1", 3, 1)},
		"links, where one that is gone had files": {
			newWorld(hour(5), "exported-files", note("1")).export("2", complete, hour(2), ofClaim, linked), "",
		},
		"links, where one that is gone had links": {
			newWorld(hour(5), "exported-files", linksOf("1", 3, 1)).export("2", complete, hour(2), ofClaim, linked),
			linksOf("2", 3, 2),
		},
		"files, where one that is gone had links": {
			newWorld(hour(5), "exported-files", linksOf("1", 3, 1)).export("2", complete, hour(2), ofClaim), note("2"),
		},
		"no file": {newWorld(hour(5)).export("1", complete, hour(1), emptied), ""},
		"no file later": {
			newWorld(hour(5)).export("1", complete, hour(1), ofClaim).export("2", complete, hour(2), emptied), note("1"),
		},
		"failed":    {newWorld(hour(5)).export("1", v1alpha1.ConditionFailed, hour(1), ofClaim), ""},
		"under way": {newWorld(hour(5)).export("1", "", hour(1), ofClaim), ""},
	} {
		all := writes(t, tt.world)
		if len(all) != 1 {
			t.Fatalf("%s: %d writes, want one", name, len(all))
		}
		if got := all[0]; got.Metadata.Annotations[v1alpha1.AnnotationExportedFiles] != tt.want ||
			got.Metadata.UID != "c-1" || got.Metadata.ResourceVersion == "" || len(got.Status.Conditions) != 1 {
			t.Errorf("%s: the claim is told %+v, want the note %q", name, got, tt.want)
		}
	}
}

// TestWhatWasNotedStays: a claim that was told of a run before notes of it are written gets one, and loses none.
func TestWhatWasNotedStays(t *testing.T) {
	told := newWorld(hour(5)).export("1", v1alpha1.ConditionComplete, hour(1), ofClaim)
	v := judge(told.state, nil)
	next, _ := v.next(told.Claim, hour(2))
	told.Claim.Status.Conditions = append(told.Claim.Status.Conditions, next)
	all := writes(t, told)
	if len(all) != 1 || len(all[0].Metadata.Annotations) != 1 || len(all[0].Status.Conditions) != 0 {
		t.Fatalf("of a claim without the note alone is written %+v", all)
	}
	maps.Copy(told.Claim.Annotations, all[0].Metadata.Annotations)
	if all = writes(t, told); len(all) != 0 {
		t.Errorf("what is noted is written again: %+v", all)
	}
	told.Exports = nil
	if all = writes(t, told); len(all) != 0 {
		t.Errorf("a run is gone, and %+v is written", all)
	}
}

// TestTheLastWithFilesStays while all that came after it have none, as of a disk that is not mounted.
func TestTheLastWithFilesStays(t *testing.T) {
	const complete = v1alpha1.ConditionComplete
	files := func(*v1alpha1.S3Export) {}
	empty := func(e *v1alpha1.S3Export) { e.Status.Objects = 0 }
	foreign := func(e *v1alpha1.S3Export) { e.OwnerReferences = nil }
	going := func(e *v1alpha1.S3Export) { e.DeletionTimestamp = &metav1.Time{Time: hour(6)} }
	for name, tt := range map[string]struct {
		runs []func(*v1alpha1.S3Export) // Named after their place, oldest first.
		want string                     // What is removed; empty for nothing.
	}{
		"two had files":                    {[]func(*v1alpha1.S3Export){files, files, empty, empty, empty}, "1"},
		"one had files":                    {[]func(*v1alpha1.S3Export){files, empty, empty, empty}, ""},
		"and one of somebody else":         {[]func(*v1alpha1.S3Export){files, empty, empty, empty, foreign}, ""},
		"and a later one":                  {[]func(*v1alpha1.S3Export){files, empty, empty, files}, "1"},
		"two had, and one is going":        {[]func(*v1alpha1.S3Export){files, going, empty, empty, empty}, ""},
		"none had":                         {[]func(*v1alpha1.S3Export){empty, empty, empty, empty}, "1"},
		"one without, before one that had": {[]func(*v1alpha1.S3Export){empty, files, empty, empty, empty}, "1"},
	} {
		w, got := newWorld(hour(9)), ""
		for i, change := range tt.runs {
			w.export(strconv.Itoa(i+1), complete, hour(i+1), change)
		}
		if d, _ := decide(w.state); d.Action == remove {
			got = d.Export.Name
		}
		if got != tt.want {
			t.Errorf("%s: removes %q, want %q", name, got, tt.want)
		}
	}
}
