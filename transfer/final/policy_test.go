// SPDX-License-Identifier: Apache-2.0

package final

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// nightly is a policy that selects the claim of these tests.
func nightly(bucket string, created int64) v1alpha1.S3ExportPolicy {
	return v1alpha1.S3ExportPolicy{
		ObjectMeta: metav1.ObjectMeta{
			Name: "to-" + bucket, Namespace: "team", CreationTimestamp: metav1.NewTime(time.Unix(created, 0)),
		},
		Spec: v1alpha1.S3ExportPolicySpec{
			OnDelete: true, ClaimSelector: metav1.LabelSelector{MatchLabels: map[string]string{"keep": "yes"}},
			Template: v1alpha1.S3ExportTemplate{
				StorageClass: "STANDARD_IA",
				Destination: v1alpha1.ExportDestination{
					S3Location: v1alpha1.S3Location{Bucket: bucket, Region: "x"},
				},
			},
		},
	}
}

func policies(all ...v1alpha1.S3ExportPolicy) change {
	return func(s *State) {
		s.Policies = onDelete(append(s.Policies, all...))
		if s.Claim != nil {
			s.Claim.Labels = map[string]string{"keep": "yes"}
		}
	}
}

func byPolicy(s *State) { policies(nightly("nights", 5))(s) }

// byUnclearPolicy has a selector that nobody can read.
func byUnclearPolicy(s *State) {
	p := nightly("nights", 5)
	p.Spec.ClaimSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "keep", Operator: "Like"}}
	policies(p)(s)
}

// asksNothing is a claim without any annotation of ours.
func asksNothing(s *State) { s.Claim.Annotations = map[string]string{} }

func TestPoliciesHoldClaims(t *testing.T) {
	unlabelled := func(s *State) { s.Claim.Labels = nil }
	policyGoing := func(s *State) { s.Policies[0].DeletionTimestamp = &metav1.Time{} }
	schedule := nightly("nights", 5)
	schedule.Spec.OnDelete = false
	for name, tt := range map[string]struct {
		state  State
		action Action
		reason v1alpha1.Reason
	}{
		"a selected claim is held":     {world(alive, released, asksNothing, byPolicy), AddFinalizer, ""},
		"it stays so":                  {world(alive, asksNothing, byPolicy), Wait, ""},
		"another claim is not":         {world(alive, released, asksNothing, byPolicy, unlabelled), Wait, ""},
		"a schedule holds none":        {world(alive, released, asksNothing, policies(schedule)), Wait, ""},
		"the policy went a moment ago": {world(alive, asksNothing), Wait, ""},
		"the policy went": {
			world(alive, asksNothing, longUnasked), RemoveFinalizer, "FinalExportNotAsked",
		},
		"the policy is going":                {world(alive, asksNothing, byPolicy, policyGoing, longUnasked), Wait, ""},
		"the policy went, annotations stay":  {world(alive, longUnasked), Wait, ""},
		"annotations went, the policy stays": {world(alive, unselected, byPolicy), Wait, ""},
		"it selects the claim no more": {
			world(alive, asksNothing, byPolicy, unlabelled, longUnasked), RemoveFinalizer, "FinalExportNotAsked",
		},
		"its selector cannot be read":      {world(alive, asksNothing, byUnclearPolicy, longUnasked), Wait, ""},
		"nor hold a claim":                 {world(alive, released, asksNothing, byUnclearPolicy), Wait, ""},
		"the namespace goes, policy first": {world(alive, asksNothing, leaving, longUnasked), Wait, ""},
		"the claim is deleted":             {world(asksNothing, byPolicy), CreateExportClaim, ""},
		"the policy went after that":       {world(asksNothing), Wait, "InvalidAnnotations"},
		"the policy went before that":      {world(asksNothing, longUnasked), Wait, "InvalidAnnotations"},
		"deleted before it was held":       {world(asksNothing, byPolicy, released), Wait, "FinalExportSkipped"},
		"the policy has another place now": {
			world(asksNothing, byPolicy, taken, exportClaim, run, func(s *State) {
				s.Policies[0].Spec.Template.Destination.Bucket = "others"
			}), DeleteExport, "",
		},
		"the policy goes while it runs": {
			world(asksNothing, byPolicy, taken, exportClaim, run, func(s *State) { s.Policies = nil }), Wait,
			"FinalExportRunning",
		},
		"its schedule is another one now": {
			world(asksNothing, byPolicy, taken, exportClaim, run, func(s *State) {
				s.Policies[0].Spec.Schedule = "@daily"
			}), Wait, "FinalExportRunning",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := Decide(tt.state); d.Action != tt.action || d.Reason != tt.reason {
				t.Errorf("decided %s %q (%s), want %s %q", d.Action, d.Reason, d.Message, tt.action, tt.reason)
			}
		})
	}
}

// TestWhoDecidesWhereTo: annotations that ask for the export, then the oldest policy, then the first by name.
func TestWhoDecidesWhereTo(t *testing.T) {
	for name, tt := range map[string]struct {
		state         State
		bucket, asker string
	}{
		"annotations and a policy": {world(byPolicy), "backups", "its annotation s3populator.io/export-on-delete"},
		"a place without a wish":   {world(unselected, byPolicy), "nights", "S3ExportPolicy to-nights"},
		"a wish without a place":   {world(nowhere, byPolicy), "nights", "S3ExportPolicy to-nights"},
		"a policy":                 {world(asksNothing, byPolicy), "nights", "S3ExportPolicy to-nights"},
		"the oldest": {
			world(asksNothing, policies(nightly("a", 7), nightly("c", 5), nightly("b", 6))), "c", "S3ExportPolicy to-c",
		},
		"of one second": {world(asksNothing, policies(nightly("b", 5), nightly("a", 5))), "a", "S3ExportPolicy to-a"},
	} {
		export, wrong := wish(tt.state)
		if wrong != "" || export.Destination.Bucket != tt.bucket || tt.state.asker() != tt.asker {
			t.Errorf("%s: to %q for %q (%s), want %q for %q", name, export.Destination.Bucket, tt.state.asker(), wrong,
				tt.bucket, tt.asker)
		}
	}
	if d := Decide(world(asksNothing, byPolicy, inUseByPods)); !strings.Contains(d.Message, "S3ExportPolicy to-nights") {
		t.Errorf("who asks is not told: %s", d.Message)
	}
}

// TestALastExportHasAPlaceOfItsOwn: the next claim of the name would overwrite what is left of this one. It stays until
// somebody corrects its annotation, also where it was held for a policy that does not select it any more.
func TestALastExportHasAPlaceOfItsOwn(t *testing.T) {
	to := func(place string) change {
		return func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationExportTo] = place }
	}
	for name, tt := range map[string]struct {
		state State
		wrong string
	}{
		"what is added by itself": {world(to("s3://backups/last")), ""},
		"each run in its own":     {world(to("s3://backups/{{.Claim}}/{{.Run}}")), ""},
		"all claims of the name": {
			world(to("s3://backups/{{.Claim}}")), "add {{.Run}} to the prefix in s3populator.io/export-to",
		},
		"held for a policy that went": {world(unselected, to("s3://backups/{{.Claim}}")), "add {{.Run}} to the prefix"},
		"where a policy decides":      {world(unselected, to("s3://backups/{{.Claim}}"), byPolicy), ""},
	} {
		if _, wrong := wish(tt.state); !strings.Contains(wrong, tt.wrong) || (wrong == "") != (tt.wrong == "") {
			t.Errorf("%s: refused with %q, want %q", name, wrong, tt.wrong)
		}
		d := Decide(tt.state)
		if stays := d.Action == Wait && d.Reason == v1alpha1.ReasonInvalidAnnotations; stays != (tt.wrong != "") {
			t.Errorf("%s: decided %s %s", name, d.Action, d.Reason)
		}
	}
}

// TestNamesThatAreNoKeys: no pod can rename files of a claim that is being deleted, so there is a way out, and only for
// whoever may ask for exports.
func TestNamesThatAreNoKeys(t *testing.T) {
	skips := func(s *State) { s.Claim.Annotations[v1alpha1.AnnotationExportUnsafePaths] = "Skip" }
	policySkips := func(s *State) { s.Policies[0].Spec.Template.UnsafePaths = "Skip" }
	for name, tt := range map[string]struct {
		state  State
		action Action
	}{
		"the annotation says so, too late for the run": {world(taken, exportClaim, failing, skips), DeleteExport},
		"the annotation says so":                       {world(skips, taken, exportClaim, complete), ReturnVolume},
		"given back":                                   {world(skips, exported, exportClaim, complete), DeleteExportClaim},
		"given back, and gone": {
			world(skips, exported, exportClaim, complete, gone), DeleteExportClaim,
		},
		"gone, and its volume too": {world(skips, but(unsafe), gone, noVolume), Wait},
		"gone with its volume, before the export claim": {
			world(skips, exportClaim, but(unsafe), gone, noVolume), DeleteExportClaim,
		},
		"gone with its volume, and not whole": {world(skips, but(changed), gone, noVolume), DeleteExport},
		"it is taken back while the run ends": {
			world(skips, taken, exportClaim, complete, func(s *State) {
				delete(s.Claim.Annotations, v1alpha1.AnnotationExportUnsafePaths)
			}), DeleteExport,
		},
		"the policy says so": {
			world(asksNothing, byPolicy, policySkips, taken, exportClaim, complete), ReturnVolume,
		},
	} {
		d := Decide(tt.state)
		if d.Action != tt.action {
			t.Errorf("%s: decided %s %s, want %s", name, d.Action, d.Message, tt.action)
		}
	}
	if e := Export(world(skips)); e.Spec.UnsafePaths != "Skip" {
		t.Errorf("the S3Export has unsafePaths %q", e.Spec.UnsafePaths)
	}
	unsafeName := func(s *State) { s.Export.Status.Conditions[0].Reason = "UnsafePath" }
	for want, s := range map[string]State{
		"export-unsafe-paths=Skip": world(taken, exportClaim, failing, unsafeName),
		"spec.template.unsafePaths of S3ExportPolicy to-nights": world(asksNothing, byPolicy, taken, exportClaim, failing,
			unsafeName),
	} {
		if d := Decide(s); !strings.Contains(d.Message, want) {
			t.Errorf("says %q, want %q", d.Message, want)
		}
	}
	if d := Decide(world(taken, exportClaim, but(leftOut))); !strings.Contains(d.Message, ".snapshots") ||
		!strings.Contains(d.Message, "export-unsafe-paths=Skip") {
		t.Errorf("of what the storage keeps it says %q", d.Message)
	}
	if d := Decide(world(skips, taken, exportClaim, complete, but(unsafe), func(s *State) {
		s.Export.Status.SkippedPaths = 1
	})); d.Action != ReturnVolume {
		t.Errorf("decided %s: %s", d.Action, d.Message)
	}
	left := world(skips, exported, complete)
	left.Export.Status.SkippedPaths = 3
	if d := Decide(left); d.Action != RemoveFinalizer || !strings.Contains(d.Message, "3 paths were left out") {
		t.Errorf("decided %s: %s", d.Action, d.Message)
	}
}

// TestExportOfAPolicy is of all of the volume, in the place of the user's claim, and stays for a week.
func TestExportOfAPolicy(t *testing.T) {
	s := world(asksNothing, byPolicy)
	s.Policies[0].Spec.Template.Path, s.Policies[0].Spec.Template.DryRun = "models", true
	s.Policies[0].Spec.Template.TTLSecondsAfterFinished = new(int32(1))
	s.Policies[0].Spec.Template.Consistency = v1alpha1.ConsistencySnapshot
	s.Policies[0].Spec.Template.VolumeSnapshotClassName = "snaps"
	e := Export(s)
	if e.Spec.Destination.Prefix != "{{.Namespace}}/data/{{.Run}}/" || e.Spec.Path != "" || e.Spec.DryRun ||
		e.Spec.Consistency != v1alpha1.ConsistencyLive || e.Spec.VolumeSnapshotClassName != "" ||
		e.Spec.StorageClass != "STANDARD_IA" || *e.Spec.TTLSecondsAfterFinished != keepExport || !whole(e) {
		t.Errorf("the S3Export is %+v", e.Spec)
	}
	again := s
	again.Policies = slices.Clone(s.Policies)
	again.Policies[0].Spec.Template.StorageClass = "GLACIER_IR"
	if hashOf(s, e.Spec.S3ExportTemplate) == Export(again).Annotations[v1alpha1.AnnotationRequestHash] {
		t.Error("another storage class is no other request")
	}
}
