// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ExportPhase is Pending, Running, Suspended, Succeeded or Failed.
type ExportPhase string

// The phases of an S3Export.
const (
	ExportPending   ExportPhase = "Pending"
	ExportRunning   ExportPhase = "Running"
	ExportSuspended ExportPhase = "Suspended"
	ExportSucceeded ExportPhase = "Succeeded"
	ExportFailed    ExportPhase = "Failed"
)

// S3ExportStatus is what the run did so far.
type S3ExportStatus struct {
	// ObservedGeneration is the generation of the export that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Phase is Pending, Running, Suspended, Succeeded or Failed.
	// +optional
	Phase ExportPhase `json:"phase,omitempty"`
	// ClaimUID of the claim whose volume is read. A claim of the same name that is made later is
	// another one.
	// +optional
	ClaimUID string `json:"claimUID,omitempty"`
	// Prefix of the objects, with everything replaced; empty for an export to one key. An S3Source
	// with this prefix restores the run.
	// +optional
	Prefix string `json:"prefix,omitempty"`
	// Location is s3://bucket/prefix, or s3://bucket/key.
	// +optional
	Location string `json:"location,omitempty"`
	// CopiedFrom is the prefix of the last complete run of this claim in the same bucket, from
	// which S3 copies files that have not changed; empty: none.
	// +optional
	CopiedFrom string `json:"copiedFrom,omitempty"`
	// Manifest is the key of the manifest, which is written last: it is there when the run is complete.
	// +optional
	Manifest string `json:"manifest,omitempty"`
	// ManifestDigest is the digest that a population of the prefix has; see
	// S3Source.status.inventory.digest.
	// +optional
	ManifestDigest string `json:"manifestDigest,omitempty"`
	// Progress of the current attempt, or of the one that succeeded.
	// +optional
	Progress *ImportProgress `json:"progress,omitempty"`
	// Shards of a run with spec.parallelism of more than 1; absent until there is a plan, and where one
	// pod does all of it.
	// +optional
	Shards *ExportShards `json:"shards,omitempty"`
	// Attempts counts mover pods, the running one included. The plan of a run with shards, its Job and
	// its last pod are one attempt.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`
	// Failures counts attempts that failed in a row without progress.
	// +optional
	Failures int32 `json:"failures,omitempty"`
	// Disruptions counts attempts in a row without progress that were ended from outside, as by an
	// eviction.
	// +optional
	Disruptions int32 `json:"disruptions,omitempty"`
	// Waits counts the latest attempts in a row that S3 throttled, or could not be reached for.
	// +optional
	Waits int32 `json:"waits,omitempty"`
	// EndedMover is the UID of the latest mover pod whose end is counted.
	// +optional
	EndedMover string `json:"endedMover,omitempty"`
	// NextAttemptTime is when the next attempt starts, after one that failed.
	// +optional
	NextAttemptTime *metav1.Time `json:"nextAttemptTime,omitempty"`
	// StartTime is when the first mover was made.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when the run ended, Succeeded or Failed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// Objects that the run has exported, whether they were sent, copied or found unchanged.
	// +optional
	Objects int64 `json:"objects,omitempty"`
	// Bytes of those objects.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// Links are the symbolic links that the run has found. They are in its manifest and no objects. A run with neither
	// objects nor links is an empty one. Runs of earlier versions did not count them.
	// +optional
	Links int64 `json:"links,omitempty"`
	// SentObjects were sent by the last attempt. For a dry run, this and the following say what
	// would have been done.
	// +optional
	SentObjects int64 `json:"sentObjects,omitempty"`
	// SentBytes were sent by the last attempt.
	// +optional
	SentBytes int64 `json:"sentBytes,omitempty"`
	// CopiedObjects were copied by S3 from the last complete run.
	// +optional
	CopiedObjects int64 `json:"copiedObjects,omitempty"`
	// UnchangedObjects were there already and left alone.
	// +optional
	UnchangedObjects int64 `json:"unchangedObjects,omitempty"`
	// DeletedObjects were removed for deleteExtra.
	// +optional
	DeletedObjects int64 `json:"deletedObjects,omitempty"`
	// SkippedPaths were left out: they cannot be keys and unsafePaths is Skip, or they are directories of the storage
	// at the root of the volume, such as .snapshots, that are not empty.
	// +optional
	SkippedPaths int64 `json:"skippedPaths,omitempty"`
	// SpecialFiles are sockets, FIFOs and devices, which are not exported.
	// +optional
	SpecialFiles int64 `json:"specialFiles,omitempty"`
	// ChangedFiles changed each time that they were read: their objects may hold a mixture.
	// +optional
	ChangedFiles int64 `json:"changedFiles,omitempty"`
	// GoneFiles were removed or renamed while the volume was exported, and directories changed each time that they were
	// looked at, so that files that were moved meanwhile may be missing.
	// +optional
	GoneFiles int64 `json:"goneFiles,omitempty"`
	// AbortedUploads are the multipart uploads that were ended after the run had failed or was
	// deleted; absent until that was done.
	// +optional
	AbortedUploads *int64 `json:"abortedUploads,omitempty"`
	// OtherObjects are below the prefix and not of this export. A population loads them, too.
	// +optional
	OtherObjects int64 `json:"otherObjects,omitempty"`

	// Conditions are Complete and Failed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Files are the regular files and symbolic links of a run: all that it has but directories.
func (e *S3Export) Files() int64 { return e.Status.Objects + e.Status.Links }

// IsEmpty tells that a run has found nothing but directories, which is what a mount point and a new disk have, too. No
// run with files makes way for one that is empty.
func (e *S3Export) IsEmpty() bool { return e.Files() == 0 }

// EmptierThan tells that a run has no regular file, or nothing at all, where another one has some. Links alone are
// little to go by: a volume that somebody has emptied may have them.
func (e *S3Export) EmptierThan(other *S3Export) bool {
	return e.Status.Objects == 0 && other.Status.Objects > 0 || e.IsEmpty() && !other.IsEmpty()
}

// ExportStep is what is done next of a run with shards.
type ExportStep string

// The steps of a run with shards, which begins at the first one again after an attempt that failed.
const (
	ExportPlan   ExportStep = "Plan"
	ExportShard  ExportStep = "Shard"
	ExportFinish ExportStep = "Finish"
)

// ExportShards are the shards of a run.
type ExportShards struct {
	// Plan is the digest of the plan, which is below the prefix until the run is complete.
	// +required
	Plan string `json:"plan"`
	// PlanTime is when the plan was made. One of a volume in use for which no Job could be made for an hour is made anew.
	// +optional
	PlanTime *metav1.Time `json:"planTime,omitempty"`
	// Step is Plan, Shard or Finish: what the current mover does, or the next one.
	// +required
	Step ExportStep `json:"step"`
	// Total is how many shards the plan has.
	// +required
	Total int32 `json:"total"`
	// Done is how many of them are in S3.
	// +optional
	Done int32 `json:"done,omitempty"`
}
