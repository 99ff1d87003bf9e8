// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/template"
)

// PrefixOf is the prefix of a run's objects, with everything replaced; empty for an export to one key.
func PrefixOf(e *v1alpha1.S3Export) (string, error) {
	if e.Spec.Destination.Key != "" {
		return "", nil
	}
	return template.Expand(
		cmp.Or(e.Spec.Destination.Prefix, template.Default),
		template.Values{ //nolint:wrapcheck // It is told.
			Namespace: e.Namespace, Claim: e.Spec.ClaimName, Run: string(e.UID), Time: e.CreationTimestamp.Time,
		},
	)
}
