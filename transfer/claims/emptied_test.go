// SPDX-License-Identifier: Apache-2.0

package claims

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/annotated"
)

func emptied(e *v1alpha1.S3Export) { e.Status.Objects, e.Status.Bytes = 0, 0 }

func linked(e *v1alpha1.S3Export) { e.Status.Objects, e.Status.Bytes, e.Status.Links = 0, 0, 3 }

// TestAnEmptyRunIsTold: a disk that is not mounted is an empty volume, and its export is complete where each run has a
// prefix of its own. Whoever looks at the claim alone has to see that what there is to restore is older.
func TestAnEmptyRunIsTold(t *testing.T) {
	const complete, failed = v1alpha1.ConditionComplete, v1alpha1.ConditionFailed
	part := func(e *v1alpha1.S3Export) { e.Spec.Path = "db" }
	other := func(e *v1alpha1.S3Export) { e.Spec.Path = "logs" }
	byPolicy := func(e *v1alpha1.S3Export) {
		e.OwnerReferences = []metav1.OwnerReference{
			{Kind: "S3ExportPolicy", Name: "nightly", UID: "nightly", Controller: new(true)},
		}
	}
	noted := func(at int) *world {
		note := annotated.Files{Claim: "c-1", Run: "gone", UID: "uid-gone", Files: 7, At: hour(at)}
		return newWorld(hour(9), "exported-files", note.String())
	}
	undated := newWorld(hour(9), "exported-files", `{"claim":"c-1","run":"gone","uid":"uid-gone","files":7}`)
	const first = "S3Export 1 was complete at 2026-11-26T01:00:00Z: 7 objects, 1024 bytes at s3://backups/uid-1/"
	for name, tt := range map[string]struct {
		world  *world
		reason v1alpha1.Reason
		want   []string
	}{
		"after one with files": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied), "ExportEmpty",
			[]string{
				"S3Export 2 found no file, and S3Export 1 of this claim had 7,", first, "S3Export 2 was complete",
			},
		},
		"after one with links": {
			newWorld(hour(9)).export("1", complete, hour(1), linked).export("2", complete, hour(2), emptied), "ExportEmpty",
			[]string{"S3Export 1 of this claim had 3,", "0 objects, 0 bytes and 3 symbolic links at"},
		},
		"after one with links, and one with files before": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), linked).
				export("3", complete, hour(3), emptied), "ExportEmpty",
			[]string{"S3Export 3 found no file, and S3Export 1 of this claim had 7,", first},
		},
		"a second one": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).
				export("3", complete, hour(3), emptied), "ExportEmpty",
			[]string{"S3Export 3 found no file, and S3Export 1 of this claim had 7,"},
		},
		"while the next is under way": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).export("3", "", hour(3)),
			"ExportEmpty", nil,
		},
		"and one of a part since": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).
				export("3", complete, hour(3), part), "ExportEmpty",
			[]string{"S3Export 2 found no file", first, "S3Export 3 was complete"},
		},
		"of all of it, after one of a part": {
			newWorld(hour(9)).export("1", complete, hour(1), part).export("2", complete, hour(2), emptied), "ExportEmpty", nil,
		},
		"of the same part": {
			newWorld(hour(9)).export("1", complete, hour(1), part).export("2", complete, hour(2), part, emptied),
			"ExportEmpty", nil,
		},
		"it makes no failure good": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", failed, hour(2)).
				export("3", complete, hour(3), emptied), "ExportFailed",
			[]string{"S3Export 2 failed", "S3Export 3 found no file", first},
		},
		"what had files expired": {
			noted(1).export("2", complete, hour(2), emptied), "ExportEmpty",
			[]string{"S3Export 2 found no file, and S3Export gone of this claim had 7,"},
		},
		"what had files expired, of an earlier version": {
			undated.export("2", complete, hour(2), emptied), "ExportEmpty", []string{"S3Export gone of this claim had 7,"},
		},
		"the first one, and what had files later expired": {
			noted(3).export("2", complete, hour(2), emptied), "Exported", nil,
		},
		"of a part, where nobody knows what it had": {
			noted(1).export("2", complete, hour(2), emptied, part), "Exported", nil,
		},
		"nothing was there before": {
			newWorld(hour(9)).export("1", complete, hour(1), emptied).export("2", complete, hour(2), emptied), "Exported", nil,
		},
		"files since": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).
				export("3", complete, hour(3)), "Exported", nil,
		},
		"files since, whoever has exported them": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).
				export("3", complete, hour(3), byPolicy), "Exported", nil,
		},
		"links since": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), emptied).
				export("3", complete, hour(3), linked), "Exported", []string{"S3Export 3 was complete"},
		},
		"links alone": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), linked), "Exported", nil,
		},
		"of another part": {
			newWorld(hour(9)).export("1", complete, hour(1), part).export("2", complete, hour(2), other, emptied),
			"Exported", nil,
		},
		"of a part, after one of all of it": {
			newWorld(hour(9)).export("1", complete, hour(1)).export("2", complete, hour(2), part, emptied), "Exported", nil,
		},
	} {
		v := judge(tt.world.state, nil)
		status := corev1.ConditionFalse
		if tt.reason == v1alpha1.ReasonExported {
			status = corev1.ConditionTrue
		}
		if v.Reason != tt.reason || v.Status != status {
			t.Errorf("%s: judged %+v, want %s", name, v, tt.reason)
		}
		for _, want := range tt.want {
			if !strings.Contains(v.Message, want) {
				t.Errorf("%s: message %q, want %q in it", name, v.Message, want)
			}
		}
	}
}
