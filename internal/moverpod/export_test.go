// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Everything that an S3Export asks for reaches the mover, and a pod that ends uploads is told no more than
// where they are.
func TestExportRequest(t *testing.T) {
	t.Parallel()
	spec := v1alpha1.S3ExportTemplate{
		Path: "models", Include: []string{"**/*.bin"}, Exclude: []string{"tmp/**"}, StorageClass: "STANDARD_IA",
		ServerSideEncryption: &v1alpha1.ServerSideEncryption{Type: "KMS", KMSKeyID: "k"}, Tags: map[string]string{"a": "b"},
		UnsafePaths: "Skip", OnExisting: "Overwrite", DeleteExtra: true, DryRun: true,
		Transfer: v1alpha1.ExportTransfer{Parallelism: 3, Bandwidth: "1Mi"},
		Destination: v1alpha1.ExportDestination{S3Location: v1alpha1.S3Location{
			Endpoint: "https://s3.test", Region: "r", Addressing: "Path", Bucket: "backups",
			Credentials: &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: "s3"}},
		}},
	}
	want := wire.Request{
		Operation: wire.Export,
		Source: wire.Source{
			Endpoint: "https://s3.test", Region: "r", Addressing: "Path", Bucket: "backups", Prefix: "p/",
			Include: []string{"**/*.bin"}, Exclude: []string{"tmp/**"},
		},
		Transfer:    wire.Transfer{Parallelism: 3, BytesPerSecond: 1 << 20},
		Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "s3"},
		Export: wire.ExportOptions{
			Run: "e-1", OnExisting: "Overwrite", UnsafePaths: "Skip", DeleteExtra: true, DryRun: true,
			StorageClass: "STANDARD_IA", Encryption: wire.Encryption{Type: "KMS", KMSKeyID: "k"},
			Tags: map[string]string{"a": "b"},
		},
	}
	got, err := ExportRequest(wire.Export, spec, "e-1", "p/")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("request (-want +got, error %v):\n%s", err, diff)
	}
	abort, err := ExportRequest(wire.Abort, spec, "e-1", "p/")
	want.Operation, want.Export = wire.Abort, wire.ExportOptions{Run: "e-1"}
	want.Source.Include, want.Source.Exclude = nil, nil
	if diff := cmp.Diff(want, abort); err != nil || diff != "" {
		t.Errorf("request to end uploads (-want +got, error %v):\n%s", err, diff)
	}
	for _, r := range []wire.Request{got, abort} {
		r.Volume = wire.Volume{Mode: wire.Filesystem, ClaimUID: "c-1", TargetPath: spec.Path}
		if r.Operation == wire.Abort {
			r.Volume = wire.Volume{}
		}
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseRequest(text); err != nil {
			t.Errorf("a mover does not understand %s: %v", text, err)
		}
	}
}
