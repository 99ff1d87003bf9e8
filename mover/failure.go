// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"errors"
	"fmt"

	"github.com/s3populator/s3populator/mover/wire"
)

// failure is an error that ends an attempt with a reason that the manager and
// a user understand. Everything below Run returns either a failure or an
// ordinary error; classify turns the latter into the former.
type failure struct {
	reason  wire.Reason
	message string
	cause   error
	// requiredBytes is the size of a volume that would do, where a larger one would.
	requiredBytes int64
}

func (f *failure) Error() string { return f.message }

func (f *failure) Unwrap() error { return f.cause }

// fail makes a failure whose message is a sentence a user can act on.
func fail(reason wire.Reason, format string, args ...any) *failure {
	return &failure{reason: reason, message: fmt.Sprintf(format, args...)}
}

// requiring says how large a volume would have to be.
func (f *failure) requiring(bytes int64) *failure {
	f.requiredBytes = bytes
	return f
}

// because keeps the error that led to a failure, for errors.Is and errors.As.
func (f *failure) because(err error) *failure {
	f.cause = errors.Join(f.cause, err)
	return f
}

// reasonOf returns the reason of a failure, or the empty string.
func reasonOf(err error) wire.Reason {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.reason
	}
	return ""
}

// classOf says what the manager does next. A reason that only a person can
// remove is User; whatever time may heal is Retry; what is waited out, because
// it is no fault of the request, is RetryUncounted.
func classOf(reason wire.Reason) wire.Class {
	switch reason {
	case wire.CredentialsInvalid, wire.AccessDenied, wire.NoSuchBucket, wire.NoSuchObject,
		wire.CertificateInvalid, wire.RequestRejected, wire.SourceEmpty, wire.UnsafeKey,
		wire.NotOneObject, wire.VolumeTooSmall, wire.VolumeOutOfInodes, wire.VolumeNotWritable,
		wire.VolumeNotEmpty, wire.MoverBroken:
		return wire.User
	case wire.EndpointUnreachable, wire.Throttled:
		return wire.RetryUncounted
	case wire.CredentialsMissing, wire.EndpointNotResolved, wire.SourceChanged,
		wire.VerificationFailed, wire.TransferFailed, wire.Interrupted, wire.Fenced:
		return wire.Retry
	}
	return wire.Retry
}

// classAfter is the class of a whole attempt: one that made progress does not count.
func classAfter(reason wire.Reason, progressed bool) wire.Class {
	c := classOf(reason)
	if c == wire.Retry && progressed {
		return wire.RetryUncounted
	}
	return c
}
