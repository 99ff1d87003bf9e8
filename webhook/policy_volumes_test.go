// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// ref is the claimRef of a volume: a claim of namespace plain by its name and UID.
func ref(name, uid string) string {
	return fmt.Sprintf(`{"namespace":"plain","name":%q,"uid":%q,"resourceVersion":null}`, name, uid)
}

// record is what the export before a deletion leaves on a volume.
func record(uid, policy string) string {
	return fmt.Sprintf(`{"namespace":"plain","name":"data","uid":%q,"policy":%q}`, uid, policy)
}

// volumeOf is a volume whose claimRef is name and UID, with annotations.
func volumeOf(name, uid, policy string, annotations ...string) *corev1.PersistentVolume {
	v := &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "pv-", Annotations: map[string]string{"a": "b"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimPolicy(policy),
			PersistentVolumeSource: corev1.PersistentVolumeSource{
				CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.example.com", VolumeHandle: "1"},
			},
		},
	}
	if name != "" {
		v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: "plain", Name: name, UID: types.UID(uid)}
	}
	for i := 0; i < len(annotations); i += 2 {
		v.Annotations[v1alpha1.Group+"/"+annotations[i]] = annotations[i+1]
	}
	return v
}

// volumePatch of annotations, each a name and a value or null, with the rest of the spec.
func volumePatch(t *testing.T, spec string, annotations ...string) string {
	t.Helper()
	marks := map[string]any{}
	for i := 0; i < len(annotations); i += 2 {
		if marks[v1alpha1.Group+"/"+annotations[i]] = annotations[i+1]; annotations[i+1] == "null" {
			marks[v1alpha1.Group+"/"+annotations[i]] = nil
		}
	}
	text, err := json.Marshal(
		map[string]any{"metadata": map[string]any{"annotations": marks}, "spec": json.RawMessage(spec)},
	)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// testManagerVolumes: the writes of populations and of exports before a deletion, and what is none of them.
func (c *cast) testManagerVolumes(t *testing.T) {
	give := func(name, uid, policy string) string {
		return `{"claimRef":` + ref(name, uid) + `,"persistentVolumeReclaimPolicy":"` + policy + `"}`
	}
	only := func(policy string) string { return `{"persistentVolumeReclaimPolicy":"` + policy + `"}` }
	const hands, own, marks, records = "hands a volume", "its own reclaim policy", "marks only volumes", "records the"
	for name, tt := range map[string]struct {
		volume *corev1.PersistentVolume
		patch  string
		want   string
	}{
		"a prime's volume is scratch": {
			volumeOf("s3prime-7", "p", "Retain"),
			volumePatch(t, only("Delete"), "scratch-for", "7", "original-reclaim-policy", "Retain"), "",
		},
		"it is rebound": {
			volumeOf("s3prime-7", "p", "Delete", "scratch-for", "7", "original-reclaim-policy", "Retain"),
			volumePatch(t, give("data", "7", "Retain"), "populated-for", "7", "scratch-for", "null"), "",
		},
		"it is kept": {
			volumeOf("s3prime-7", "p", "Delete", "scratch-for", "7", "original-reclaim-policy", "Delete"),
			volumePatch(t, only("Retain"), "scratch-for", "null", "original-reclaim-policy", "Delete"), "",
		},
		"a captured one is released": {
			volumeOf("s3prime-7", "p", "Delete"),
			volumePatch(t, only("Retain"), "releasing", "7", "original-reclaim-policy", "Delete"), "",
		},
		"it is free": {
			volumeOf("s3prime-7", "p", "Retain", "releasing", "7", "original-reclaim-policy", "Delete"),
			`{"metadata":{"annotations":{"pv.kubernetes.io/bound-by-controller":null}},"spec":{"claimRef":null}}`, "",
		},
		"and as it was": {
			volumeOf("", "", "Retain", "releasing", "7", "original-reclaim-policy", "Delete"),
			volumePatch(t, only("Delete"), "releasing", "null", "original-reclaim-policy", "null"), "",
		},
		"it is taken": {
			volumeOf("data", "7", "Delete"),
			volumePatch(t, give("s3export-7", "e", "Retain"), "final-export", record("7", "Delete")), "",
		},
		"it is taken again": {
			volumeOf("s3export-7", "e", "Delete", "final-export", record("7", "Delete")),
			volumePatch(t, give("s3export-7", "f", "Retain"), "final-export", record("7", "Delete")), "",
		},
		"it was renamed by somebody": {
			volumeOf("other-name", "e", "Retain", "final-export", record("7", "Delete")),
			volumePatch(t, give("s3export-7", "e", "Retain"), "final-export", record("7", "Delete")), "",
		},
		"its record was lost": {
			volumeOf("s3export-7", "e", "Delete"),
			volumePatch(t, give("s3export-7", "e", "Retain"), "final-export", record("7", "Retain")), "",
		},
		"its claimRef was cleared": {
			volumeOf("", "", "Retain", "final-export", record("7", "Delete")),
			volumePatch(t, give("s3export-7", "e", "Retain"), "final-export", record("7", "Delete")), "",
		},
		"it is returned": {
			volumeOf("s3export-7", "e", "Retain", "final-export", record("7", "Delete")),
			volumePatch(t, give("data", "7", "Delete"), "final-export", "null", "exported-for", "7"), "",
		},
		"it was returned by hand": {
			volumeOf("data", "7", "Retain", "final-export", record("7", "Delete")),
			volumePatch(t, give("data", "7", "Delete"), "final-export", "null"), "",
		},
		"a note for people": {volumeOf("data", "7", "Delete"), volumePatch(t, `{}`, "manifest-digest", "x"), ""},

		"to any claim": {volumeOf("data", "7", "Delete"), volumePatch(t, give("other", "8", "Delete")), hands},
		"to another namespace": {
			volumeOf("data", "7", "Delete"),
			`{"metadata":{"annotations":{"s3populator.io/final-export":"{\"policy\":\"Delete\"}"}},"spec":{` +
				`"persistentVolumeReclaimPolicy":"Retain","claimRef":{"namespace":"enabled","name":"s3export-7","uid":"e"}}}`,
			hands,
		},
		"to the export claim of another": {
			volumeOf("data", "7", "Delete"),
			volumePatch(t, give("s3export-8", "e", "Retain"), "final-export", record("7", "Delete")), hands,
		},
		"from the export claim to another": {
			volumeOf("s3export-7", "e", "Retain", "final-export", record("7", "Delete")),
			volumePatch(t, give("other", "8", "Delete"), "final-export", "null"), hands,
		},
		"from the prime to another": {
			volumeOf("s3prime-7", "p", "Delete", "scratch-for", "7"), volumePatch(t, give("other", "8", "Delete")), hands,
		},
		"taken without Retain": {
			volumeOf("data", "7", "Delete"),
			volumePatch(t, give("s3export-7", "e", "Delete"), "final-export", record("7", "Delete")), hands,
		},
		"taken without a record": {
			volumeOf("data", "7", "Delete"), volumePatch(t, give("s3export-7", "e", "Retain")), hands,
		},
		"taken with a record of another policy": {
			volumeOf("data", "7", "Retain"),
			volumePatch(t, give("s3export-7", "e", "Retain"), "final-export", record("7", "Delete")), records,
		},
		"a record on a volume of a user": {
			volumeOf("data", "7", "Delete"), volumePatch(t, `{}`, "final-export", record("7", "Delete")), records,
		},
		"freed":         {volumeOf("data", "7", "Delete"), `{"spec":{"claimRef":null}}`, hands},
		"to be deleted": {volumeOf("data", "7", "Retain"), volumePatch(t, only("Delete")), own},
		"marked to be filled": {
			volumeOf("data", "7", "Retain"), volumePatch(t, only("Delete"), "scratch-for", "7"), own,
		},
		"marked to be filled, first": {volumeOf("data", "7", "Retain"), volumePatch(t, `{}`, "scratch-for", "7"), marks},
		"given another policy to remember": {
			volumeOf("data", "7", "Retain"), volumePatch(t, `{}`, "original-reclaim-policy", "Delete"), marks,
		},
		"marked to be released": {volumeOf("data", "7", "Retain"), volumePatch(t, `{}`, "releasing", "7"), marks},
		"resized": {
			volumeOf("data", "7", "Retain"), `{"spec":{"capacity":{"storage":"2Gi"}}}`, "only claimRef and",
		},
		"mounted otherwise": {volumeOf("data", "7", "Retain"), `{"spec":{"mountOptions":["suid"]}}`, "only claimRef and"},
		"of another class":  {volumeOf("data", "7", "Retain"), `{"spec":{"storageClassName":"x"}}`, "only claimRef and"},
		"an annotation of others": {
			volumeOf("data", "7", "Retain"), `{"metadata":{"annotations":{"a":"c"}}}`, "no annotation of others, such as a",
		},
		"an annotation of others, taken away": {
			volumeOf("data", "7", "Retain"), `{"metadata":{"annotations":{"a":null}}}`, "no annotation of others",
		},
		"a label":     {volumeOf("data", "7", "Retain"), `{"metadata":{"labels":{"a":"b"}}}`, "neither labels nor owners"},
		"a finalizer": {volumeOf("data", "7", "Retain"), `{"metadata":{"finalizers":[]}}`, "no finalizer but"},
	} {
		t.Run(name, func(t *testing.T) {
			c.create(t, tt.volume)
			for who, want := range map[string]string{ourselves: tt.want, root: ""} {
				err := c.as[who].Patch(t.Context(), tt.volume.DeepCopy(), client.RawPatch(
					"application/merge-patch+json", []byte(tt.patch)), client.DryRunAll)
				checkOutcome(t, who, err, want)
			}
		})
	}
}

// testManagerClaims: finalizer, annotations and conditions of ours on claims of users.
func (c *cast) testManagerClaims(t *testing.T) {
	claim := newClaim("plain", "of-a-user", label("a", "b"), func(p *corev1.PersistentVolumeClaim) {
		p.Annotations["a"], p.Annotations[v1alpha1.AnnotationSelectedNode] = "b", "n"
		p.Finalizers = []string{"example.com/other"}
	})
	c.create(t, claim)
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: "Resizing", Status: "True"}}
	if err := c.Status().Update(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	finalizers := func(names ...string) string {
		return `{"metadata":{"finalizers":["kubernetes.io/pvc-protection","` + strings.Join(names, `","`) + `"]}}`
	}
	condition := func(name string) string {
		return `{"status":{"conditions":[{"type":"` + name + `","status":"True","reason":"x"}]}}`
	}
	const spared = "no annotation of others"
	for name, tt := range map[string]struct{ status, patch, want string }{
		"our annotation":          {"", `{"metadata":{"annotations":{"s3populator.io/next-prime":"{}"}}}`, ""},
		"the node":                {"", `{"metadata":{"annotations":{"volume.kubernetes.io/selected-node":null}}}`, ""},
		"our finalizer":           {"", finalizers("example.com/other", v1alpha1.FinalizerFinalExport), ""},
		"our condition":           {"status", condition(v1alpha1.ConditionFinalExport), ""},
		"an annotation of others": {"", `{"metadata":{"annotations":{"a":"c"}}}`, spared},
		"one, by the status":      {"status", `{"metadata":{"annotations":{"a":"c"}}}`, spared},
		"a finalizer of others":   {"", finalizers(v1alpha1.FinalizerFinalExport), "no finalizer but"},
		"another finalizer":       {"", finalizers("example.com/other", "example.com/more"), "no finalizer but"},
		"a label":                 {"", `{"metadata":{"labels":{"a":"c"}}}`, "neither labels nor owners"},
		"a condition of others":   {"status", condition("FileSystemResizePending"), "nothing of a status but"},
		"the kubelet's condition": {"status", condition("Resizing"), "nothing of a status but"},
		"the phase":               {"status", `{"status":{"phase":"Lost"}}`, "nothing of a status but"},
		"an owner": {
			"", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"x"}]}}`,
			"neither labels nor owners",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for who, want := range map[string]string{ourselves: tt.want, root: ""} {
				patch := client.RawPatch("application/merge-patch+json", []byte(tt.patch))
				var err error
				if tt.status == "" {
					err = c.as[who].Patch(t.Context(), claim.DeepCopy(), patch, client.DryRunAll)
				} else {
					patch = client.RawPatch("application/strategic-merge-patch+json", []byte(tt.patch))
					err = c.as[who].Status().Patch(t.Context(), claim.DeepCopy(), patch, client.DryRunAll)
				}
				checkOutcome(t, who, err, want)
			}
		})
	}
}
