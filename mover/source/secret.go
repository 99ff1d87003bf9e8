// SPDX-License-Identifier: Apache-2.0

package source

import "log/slog"

// Redacted is what every rendering of a secret shows.
const Redacted = "REDACTED"

// Secret is a string that cannot be printed, logged or marshalled by accident.
// It hides behind a pointer because fmt does not ask the fields of a struct
// how they want to be shown. Only reveal gives the value away; its callers are
// the S3 client and the writer of mc's configuration.
type Secret struct{ value *string }

func newSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

func (s Secret) String() string { return Redacted }

// GoString covers %#v.
func (s Secret) GoString() string { return Redacted }

// MarshalText covers encoding/json and everything else that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// LogValue covers log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// Reveal is the value, for what is sent to S3 and for nothing else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}
