// SPDX-License-Identifier: Apache-2.0

package mover

import "log/slog"

// redacted is what every rendering of a secret shows.
const redacted = "REDACTED"

// secret is a string that cannot be printed, logged or marshalled by accident.
// It hides behind a pointer because fmt does not ask the fields of a struct
// how they want to be shown. Only reveal gives the value away; its callers are
// the S3 client and the writer of mc's configuration.
type secret struct{ value *string }

func newSecret(value string) secret {
	if value == "" {
		return secret{}
	}
	return secret{value: &value}
}

func (s secret) String() string { return redacted }

// GoString covers %#v.
func (s secret) GoString() string { return redacted }

// MarshalText covers encoding/json and everything else that asks for text.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue covers log/slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

func (s secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}
