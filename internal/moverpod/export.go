// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// ExportRequest translates what an export asks for. Op is wire.Export, wire.Abort or wire.Prune. Run is the UID
// of the S3Export, and prefix that of its objects, with everything replaced; it is empty for one key.
// Volume, progress, attempt and the run to copy from are the caller's to add.
func ExportRequest(op wire.Operation, spec v1alpha1.S3ExportTemplate, run, prefix string) (wire.Request, error) {
	limit, err := bytesPerSecond(spec.Transfer.Bandwidth)
	if err != nil {
		return wire.Request{}, err
	}
	to := spec.Destination
	r := wire.Request{
		Operation: op,
		Source: wire.Source{
			Endpoint: to.Endpoint, Region: to.Region, Addressing: string(to.Addressing), Bucket: to.Bucket, Prefix: prefix,
		},
		Credentials: credentials(to.S3Location),
		TLS:         trust(to.TLS),
		Transfer:    wire.Transfer{Parallelism: int(spec.Transfer.Parallelism), BytesPerSecond: limit},
		Export:      wire.ExportOptions{Run: run, Key: to.Key},
	}
	if e := spec.ServerSideEncryption; e != nil && op != wire.Abort {
		r.Export.Encryption = wire.Encryption{Type: string(e.Type), KMSKeyID: e.KMSKeyID}
	}
	if op != wire.Export {
		return r, nil
	}
	r.Source.Include, r.Source.Exclude = spec.Include, spec.Exclude
	r.Export.OnExisting, r.Export.UnsafePaths = string(spec.OnExisting), string(spec.UnsafePaths)
	r.Export.DeleteExtra, r.Export.DryRun = spec.DeleteExtra, spec.DryRun
	r.Export.StorageClass, r.Export.Tags = spec.StorageClass, spec.Tags
	return r, nil
}
