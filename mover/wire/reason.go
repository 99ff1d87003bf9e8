// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"maps"
	"slices"
)

// Reason is why a mover did not end with Done; it becomes a condition reason as it is.
type Reason string

// The reasons of a mover. Each has its class in classes, and its fix in docs/operations.md.
const (
	CredentialsMissing  Reason = "CredentialsMissing"  // the Secret or a key in it does not exist (yet)
	CredentialsInvalid  Reason = "CredentialsInvalid"  // unreadable or contradictory values in the Secret
	AccessDenied        Reason = "AccessDenied"        // S3 rejected the credentials, or forbids the request (403)
	NoSuchBucket        Reason = "NoSuchBucket"        // the bucket does not exist
	NoSuchObject        Reason = "NoSuchObject"        // a key of spec.objects, or the manifest to restore, does not exist
	EndpointUnreachable Reason = "EndpointUnreachable" // refused, timeout, reset, no answer of the DNS server
	EndpointNotResolved Reason = "EndpointNotResolved" // the DNS server says that there is no such host
	CertificateInvalid  Reason = "CertificateInvalid"  // TLS verification failed
	RequestRejected     Reason = "RequestRejected"     // S3 refused the request itself, e.g. wrong region
	Throttled           Reason = "Throttled"           // 503 SlowDown after mc's and our own retries
	ClockSkewed         Reason = "ClockSkewed"         // the clocks of the node and of S3 differ too much
	SourceEmpty         Reason = "SourceEmpty"         // nothing selected and onEmpty is Fail, or deleteExtra
	UnsafeKey           Reason = "UnsafeKey"           // a key that no file system can hold or that would leave the volume
	NotOneObject        Reason = "NotOneObject"        // a Block volume takes exactly one object
	VolumeTooSmall      Reason = "VolumeTooSmall"      // bytes do not fit
	VolumeOutOfInodes   Reason = "VolumeOutOfInodes"   // files do not fit
	VolumeNotWritable   Reason = "VolumeNotWritable"   // permission on the volume
	VolumeReadOnly      Reason = "VolumeReadOnly"      // the file system is read-only, as after an error of its device
	VolumeNotEmpty      Reason = "VolumeNotEmpty"      // the volume holds what may be somebody's; left alone
	SourceChanged       Reason = "SourceChanged"       // an object changed or vanished while it was read
	VerificationFailed  Reason = "VerificationFailed"  // files still differ after all rounds
	TransferFailed      Reason = "TransferFailed"      // everything else that S3 or the disk may do
	Interrupted         Reason = "Interrupted"         // SIGTERM, e.g. an eviction
	Fenced              Reason = "Fenced"              // another mover has taken the volume over; this one wrote no more
	PathNotFound        Reason = "PathNotFound"        // the path of an export is not on the volume
	PathNotFile         Reason = "PathNotFile"         // the path of an export to one key is not a regular file
	PathNotReadable     Reason = "PathNotReadable"     // permission denied on a file or directory of an export
	UnsafePath          Reason = "UnsafePath"          // a file whose name no key can hold
	ExistsAlready       Reason = "ExistsAlready"       // an object is there already and onExisting is Fail
	FileChanged         Reason = "FileChanged"         // a file changed each time that it was read, or vanished
	PathConflict        Reason = "PathConflict"        // a link, or a file where a directory must be, in an import's way
	VolumeUnfinished    Reason = "VolumeUnfinished"    // a population that did not end has left its journal on the volume
	MoverBroken         Reason = "MoverBroken"         // an invalid request or image; a bug of ours
)

// classes says what the manager does after each reason. What only a person can correct is
// User, what time may heal is Retry, and what is waited out, because it is no fault of the
// request, is RetryUncounted.
var classes = map[Reason]Class{
	CredentialsMissing:  Retry,
	CredentialsInvalid:  User,
	AccessDenied:        User,
	NoSuchBucket:        User,
	NoSuchObject:        User,
	EndpointUnreachable: RetryUncounted,
	EndpointNotResolved: Retry,
	CertificateInvalid:  User,
	RequestRejected:     User,
	Throttled:           RetryUncounted,
	ClockSkewed:         Retry,
	SourceEmpty:         User,
	UnsafeKey:           User,
	NotOneObject:        User,
	VolumeTooSmall:      User,
	VolumeOutOfInodes:   User,
	VolumeNotWritable:   User,
	VolumeReadOnly:      Retry,
	VolumeNotEmpty:      User,
	SourceChanged:       Retry,
	VerificationFailed:  Retry,
	TransferFailed:      Retry,
	Interrupted:         Retry,
	Fenced:              Retry,
	PathNotFound:        User,
	PathNotFile:         User,
	PathNotReadable:     User,
	UnsafePath:          User,
	ExistsAlready:       User,
	FileChanged:         Retry,
	PathConflict:        User,
	VolumeUnfinished:    User,
	MoverBroken:         User,
}

// Reasons are all of this version, by name.
func Reasons() []Reason { return slices.Sorted(maps.Keys(classes)) }

// Class is what happens after a mover ended with the reason, if it made no progress. A reason
// of another version, which is not in the table, is Retry.
func (r Reason) Class() Class {
	if c, ok := classes[r]; ok {
		return c
	}
	return Retry
}
