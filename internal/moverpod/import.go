// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// ImportRequest translates what an import loads. Run is the UID of the S3Import, and the source selects what it
// loads. Volume, progress and attempt are the caller's to add.
func ImportRequest(source v1alpha1.S3SourceSpec, run string, deleteExtra bool) (wire.Request, error) {
	r, err := Request(wire.Import, source)
	r.Import = wire.ImportOptions{Run: run, DeleteExtra: deleteExtra}
	return r, err
}

// ImporterName is the name of the pod that loads objects into a volume in use.
func ImporterName(importUID string) string { return fmt.Sprintf("import-%s", importUID) }

// PopulatorSecurity is as whom a volume is filled from a source.
func PopulatorSecurity(source v1alpha1.S3SourceSpec, d Defaults) *corev1.PodSecurityContext {
	m := merged(source.Mover, d.Mover)
	return podSecurity(
		m.PodSecurityContext,
		Spec{Defaults: d, Request: wire.Request{Files: files(source.Files)}},
	).DeepCopy()
}
