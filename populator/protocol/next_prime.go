// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// NextPrime is what must outlive a prime: how the next prime of the same claim is made. It
// is one annotation on the claim, written before the prime that it follows is deleted.
type NextPrime struct {
	// Claim is the UID of the claim that this was written for. An annotation that was copied
	// from another claim counts as none.
	Claim string `json:"claim"`
	// Node that the next prime is made with as its selected-node; empty lets the scheduler choose.
	Node string `json:"node,omitempty"`
	// After is when the next prime may be made; zero is now.
	After time.Time `json:"after,omitzero"`
	// Prime is the UID of the latest prime that got a volume which is not ours to fill.
	Prime string `json:"prime,omitempty"`
	// Count of those primes.
	Count int `json:"count,omitempty"`
	// Volume is the latest of those volumes, for people.
	Volume string `json:"volume,omitempty"`
	// Bytes is the least size of the next prime's volume; zero is the claim's request.
	Bytes int64 `json:"bytes,omitempty"`
	// BytesFor is the RequestHash that Bytes is about; for another request it says nothing.
	BytesFor string `json:"bytesFor,omitempty"`
	// Grown counts the primes of that request whose volume was too small.
	Grown int `json:"grown,omitempty"`
}

// ReadNextPrime is zero where nothing was remembered; a damaged annotation, and that of
// another claim, count as none.
func ReadNextPrime(claim *corev1.PersistentVolumeClaim) NextPrime {
	var n NextPrime
	if claim.Annotations[v1alpha1.AnnotationNextPrime] == "" {
		return n
	}
	if json.Unmarshal([]byte(claim.Annotations[v1alpha1.AnnotationNextPrime]), &n) != nil || n.Claim != string(claim.UID) {
		return NextPrime{}
	}
	return n
}

// NextPrimePatch is a merge patch of the claim that remembers n. It is guarded by the
// claim's UID and resourceVersion, so that an older view never undoes a newer one.
func NextPrimePatch(claim *corev1.PersistentVolumeClaim, n NextPrime) ([]byte, error) {
	n.Claim = string(claim.UID)
	value, err := json.Marshal(n)
	if err != nil {
		return nil, err //nolint:wrapcheck // The caller says what it encodes.
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": claim.UID, "resourceVersion": claim.ResourceVersion,
		"annotations": map[string]any{v1alpha1.AnnotationNextPrime: string(value)},
	}})
}
