// SPDX-License-Identifier: Apache-2.0

// Package fault says what an error means: a reason that the manager knows, and a sentence that
// names what a person changes. It is pure, and knows neither the source nor the volume.
package fault

import (
	"errors"
	"fmt"

	"github.com/s3populator/s3populator/mover/wire"
)

// Failure is an error that ends an attempt with a reason that the manager and
// a user understand. Everything below Run returns either a failure or an
// ordinary error; classify turns the latter into the former.
type Failure struct { //nolint:errname // It is how an attempt fails, and stands beside wire.Reason.
	Reason  wire.Reason
	Message string
	cause   error
	// requiredBytes is the size of a volume that would do, where a larger one would.
	RequiredBytes int64
	// Shared means that what is on the volume may be another claim's.
	Shared bool
}

func (f *Failure) Error() string { return f.Message }

func (f *Failure) Unwrap() error { return f.cause }

// New makes a failure whose message is a sentence a user can act on.
func New(reason wire.Reason, format string, args ...any) *Failure {
	return &Failure{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Requiring says how large a volume would have to be.
func (f *Failure) Requiring(bytes int64) *Failure {
	f.RequiredBytes = bytes
	return f
}

// Sharing says that another claim has the volume too, as far as this mover can tell.
func (f *Failure) Sharing() *Failure {
	f.Shared = true
	return f
}

// Because keeps the error that led to a failure, for errors.Is and errors.As.
func (f *Failure) Because(err error) *Failure {
	f.cause = errors.Join(f.cause, err)
	return f
}

// ReasonOf returns the reason of a failure, or the empty string.
func ReasonOf(err error) wire.Reason {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Reason
	}
	return ""
}

// ClassOf says what the manager does next.
func ClassOf(reason wire.Reason) wire.Class { return reason.Class() }

// ClassAfter is the class of a whole attempt: one that made progress does not count.
func ClassAfter(reason wire.Reason, progressed bool) wire.Class {
	c := ClassOf(reason)
	if c == wire.Retry && progressed {
		return wire.RetryUncounted
	}
	return c
}
