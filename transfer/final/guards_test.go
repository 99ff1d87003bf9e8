// SPDX-License-Identifier: Apache-2.0

package final

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/events"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// patched is what a merge patch of ours says.
type patched struct {
	Metadata struct {
		UID             string             `json:"uid"`
		ResourceVersion string             `json:"resourceVersion"`
		Finalizers      []string           `json:"finalizers"`
		Annotations     map[string]*string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Policy   corev1.PersistentVolumeReclaimPolicy `json:"persistentVolumeReclaimPolicy"`
		ClaimRef *corev1.ObjectReference              `json:"claimRef"`
	} `json:"spec"`
}

func decode(t *testing.T, patch []byte, err error) (p patched) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(patch, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTakePatch: one write that keeps the volume and remembers what it was.
func TestTakePatch(t *testing.T) {
	data, err := TakePatch(world(exportClaimPending))
	p := decode(t, data, err)
	if p.Metadata.ResourceVersion != "9" || p.Spec.Policy != corev1.PersistentVolumeReclaimRetain ||
		p.Spec.ClaimRef.UID != exporter ||
		p.Spec.ClaimRef.Name != ExportClaimName(uid) || p.Spec.ClaimRef.Namespace != "team" {
		t.Errorf("the patch is %s", data)
	}
	again := world(taken, refersToUID("earlier"), exportClaim)
	data, err = TakePatch(again)
	p = decode(t, data, err)
	again.Volume.Annotations[v1alpha1.AnnotationFinalExport] = *p.Metadata.Annotations[v1alpha1.AnnotationFinalExport]
	if r, ok := RecordOf(again.Volume); !ok || r.Policy != corev1.PersistentVolumeReclaimDelete || r.UID != uid {
		t.Errorf("a volume that is taken again remembers %+v (%t), its own policy is Delete", r, ok)
	}
}

// TestForgottenRecord: what the volume was is not known any more, so that nothing may destroy it.
func TestForgottenRecord(t *testing.T) {
	lost := world(taken, forgotten, exportClaim)
	lost.Volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimDelete
	data, err := TakePatch(lost)
	p := decode(t, data, err)
	lost.Volume.Annotations[v1alpha1.AnnotationFinalExport] = *p.Metadata.Annotations[v1alpha1.AnnotationFinalExport]
	if r, ok := RecordOf(lost.Volume); !ok || r.Policy != corev1.PersistentVolumeReclaimRetain || r.UID != uid ||
		r.Name != "data" || p.Spec.Policy != corev1.PersistentVolumeReclaimRetain {
		t.Errorf("a record that was lost is written anew as %+v (%t) with policy %s", r, ok, p.Spec.Policy)
	}
	data, err = ReturnPatch(world(taken, forgotten, exportClaim, complete))
	if p = decode(t, data, err); p.Spec.Policy != corev1.PersistentVolumeReclaimRetain || p.Spec.ClaimRef.UID != uid {
		t.Errorf("the patch is %s", data)
	}
	for _, named := range []change{strangeExportClaim, func(*State) {}} {
		if d := Decide(world(taken, forgotten, named, run, gone)); d.Action == TakeVolume || d.Action == CreateExportClaim {
			t.Errorf("%s for a claim of others that is named like an export claim", d.Action)
		}
	}
	if got := fromVolume(t.Context(), world(taken, forgotten).Volume); len(got) != 1 || got[0].Name != string(uid) {
		t.Errorf("a volume whose record was lost wakes %v", got)
	}
}

// TestClaimsWake: a claim of a user may have any name, and is held whatever it is called.
func TestClaimsWake(t *testing.T) {
	for name, want := range map[string][]string{
		"data": {"claim-uid"}, "s3export-mine": {"claim-uid", "mine"}, "s3export-": {"claim-uid"},
	} {
		c := world(alive, released).Claim
		c.Name = name
		var got []string
		for _, r := range fromClaim(t.Context(), c) {
			got = append(got, r.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("claim %s wakes %v, want %v", name, got, want)
		}
	}
}

// TestAClaimThatIsGoneIsToldOfOnce: no condition tells of it any more, and its volume waits.
func TestAClaimThatIsGoneIsToldOfOnce(t *testing.T) {
	recorder := events.NewFakeRecorder(10)
	r := &Reconciler{Events: recorder}
	s := world(taken, exportClaim, failing, gone)
	for range 3 {
		if err := r.report(t.Context(), s, Decide(s)); err != nil {
			t.Fatal(err)
		}
	}
	if len(recorder.Events) != 1 {
		t.Fatalf("told %d times, want once", len(recorder.Events))
	}
	if told := <-recorder.Events; !strings.HasPrefix(told, "Warning FinalExportFailed") ||
		!strings.Contains(told, "delete S3Export final-claim-uid") || !strings.Contains(told, "Delete.") {
		t.Errorf("told %q", told)
	}
}

// TestReturnPatch: the user's claim by its UID, the policy that it had, and whether it was exported.
func TestReturnPatch(t *testing.T) {
	data, err := ReturnPatch(world(taken, exportClaim, complete))
	p := decode(t, data, err)
	if p.Metadata.ResourceVersion != "9" || p.Spec.Policy != corev1.PersistentVolumeReclaimDelete ||
		p.Spec.ClaimRef.UID != uid ||
		p.Spec.ClaimRef.Name != "data" || p.Metadata.Annotations[v1alpha1.AnnotationFinalExport] != nil {
		t.Errorf("the patch is %s", data)
	}
	if mark := p.Metadata.Annotations[v1alpha1.AnnotationExportedFor]; mark == nil || *mark != string(uid) {
		t.Errorf("a complete export leaves no mark: %s", data)
	}
	data, err = ReturnPatch(world(taken, exportClaim, skipped))
	p = decode(t, data, err)
	if _, marked := p.Metadata.Annotations[v1alpha1.AnnotationExportedFor]; marked {
		t.Errorf("what was skipped is marked as exported: %s", data)
	}
}

// TestFinalizerPatch touches no finalizer of others, and no claim that is not as it was observed.
func TestFinalizerPatch(t *testing.T) {
	s := world()
	for held, want := range map[bool][]string{
		true: {"example.com/other", v1alpha1.FinalizerFinalExport}, false: {"example.com/other"},
	} {
		data, err := FinalizerPatch(s.Claim, held)
		if p := decode(t, data, err); p.Metadata.ResourceVersion != "7" || p.Metadata.UID != string(uid) ||
			!slices.Equal(p.Metadata.Finalizers, want) {
			t.Errorf("held %t: the patch is %s", held, data)
		}
	}
}

// TestExportClaim is bound to the volume and to no other, whatever the class would make.
func TestExportClaim(t *testing.T) {
	c := ExportClaim(world())
	if c.Spec.VolumeName != "pv" || *c.Spec.StorageClassName != "fast" ||
		c.Spec.Resources.Requests.Storage().String() != "1Gi" ||
		len(c.OwnerReferences) != 0 {
		t.Errorf("the export claim is %+v", c)
	}
}

// TestExport has a place with the name of the user's claim, and a hash that follows what is asked for.
func TestExport(t *testing.T) {
	e := Export(world())
	if e.Spec.ClaimName != ExportClaimName(uid) || e.Spec.Destination.Prefix != "claims/{{.Namespace}}/data/{{.Run}}/" ||
		e.Spec.Destination.Credentials.SecretRef.Name != "s3" || len(e.OwnerReferences) != 0 {
		t.Errorf("the S3Export is %+v", e)
	}
	hashes := map[string]string{}
	for name, c := range map[string]change{
		"nothing": func(*State) {},
		"place":   func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationExportTo] = "s3://other/claims" },
		"secret":  func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationExportSecret] = "other" },
		"retry":   func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationRetry] = "2" },
	} {
		hash := Export(world(c)).Annotations[v1alpha1.AnnotationRequestHash]
		if other := hashes[hash]; other != "" {
			t.Errorf("a change of %s has the hash of %s", name, other)
		}
		hashes[hash] = name
	}
}
