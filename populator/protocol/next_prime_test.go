// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// What is remembered for the next prime is read again as it was written, and only for the
// claim that it was written for.
func TestNextPrimeIsRemembered(t *testing.T) {
	claim := world().Claim
	want := NextPrime{Claim: claimUID, Node: "a", After: noon.Add(time.Minute), Count: 2, Volume: "pv-1", Bytes: 1 << 30}
	patch, err := NextPrimePatch(claim, want)
	if err != nil {
		t.Fatal(err)
	}
	var sent corev1.PersistentVolumeClaim
	if err := json.Unmarshal(patch, &sent); err != nil {
		t.Fatal(err)
	}
	if sent.UID != claim.UID || sent.ResourceVersion != claim.ResourceVersion {
		t.Errorf("the patch is guarded by UID %q and resourceVersion %q", sent.UID, sent.ResourceVersion)
	}
	claim.Annotations[v1alpha1.AnnotationNextPrime] = sent.Annotations[v1alpha1.AnnotationNextPrime]
	if d := cmp.Diff(want, ReadNextPrime(claim)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	claim.UID = "another"
	if got := ReadNextPrime(claim); got != (NextPrime{}) {
		t.Errorf("a claim that copied the annotation reads %+v", got)
	}
	claim.Annotations[v1alpha1.AnnotationNextPrime] = "{"
	if got := ReadNextPrime(claim); got != (NextPrime{}) {
		t.Errorf("a damaged annotation reads as %+v", got)
	}
}
