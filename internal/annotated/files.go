// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Files is what the manager notes on a claim of its last complete export that had files. The S3Export itself may be
// gone when the claim is exported for the last time: a deletion in the foreground collects first what the claim owns.
type Files struct {
	// Claim is the UID of the claim that was exported: the note is restored and copied with others.
	Claim types.UID `json:"claim"`
	// Run and UID are those of the S3Export, and Files how many regular ones it had, and Links.
	Run   string    `json:"run"`
	UID   types.UID `json:"uid"`
	Files int64     `json:"files"`
	Links int64     `json:"links,omitempty"`
	// At is when it was complete; zero in notes of earlier versions.
	At time.Time `json:"at,omitzero"`
}

// FilesOf is the note on a claim; false where there is none of this claim that can be read.
func FilesOf(claim *corev1.PersistentVolumeClaim) (f Files, ok bool) {
	err := json.Unmarshal([]byte(claim.Annotations[v1alpha1.AnnotationExportedFiles]), &f)
	return f, err == nil && f.Claim != "" && f.Claim == claim.UID && f.Run != "" && f.Files+f.Links > 0
}

// String is the value of the annotation.
func (f Files) String() string {
	text, _ := json.Marshal(f) // Encoding strings and a number cannot fail.
	return string(text)
}
