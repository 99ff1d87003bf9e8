// SPDX-License-Identifier: Apache-2.0

// Package moverpod turns a source and a role into a hardened mover pod. It is
// pure: no client, no clock, no lookups; the pod it returns is what is created.
package moverpod

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Request translates a source's spec into what a mover is told. Volume, progress
// and attempt are the caller's to add.
func Request(op wire.Operation, spec v1alpha1.S3SourceSpec) (wire.Request, error) {
	if spec.FromExport != nil { // Without its prefix the whole bucket would be read.
		return wire.Request{}, errors.New("spec.fromExport: the prefix of the export has not been found")
	}
	limit, err := bytesPerSecond(spec.Transfer.Bandwidth)
	if err != nil {
		return wire.Request{}, err
	}
	return wire.Request{
		Operation: op,
		Source:    source(spec),
		Policy: wire.Policy{
			OnEmpty: string(spec.OnEmpty), UnsafeKeys: string(spec.UnsafeKeys), RestoreAttributes: spec.RestoreAttributes,
		},
		Credentials: credentials(spec.S3Location),
		TLS:         trust(spec.TLS),
		Files:       files(spec.Files),
		Transfer: wire.Transfer{
			Engine:         string(spec.Transfer.Engine),
			Parallelism:    int(spec.Transfer.Parallelism),
			BytesPerSecond: limit,
			Verify:         string(spec.Transfer.Verify),
		},
	}, nil
}

func source(spec v1alpha1.S3SourceSpec) wire.Source {
	objects := make([]wire.Object, 0, len(spec.Objects))
	for _, o := range spec.Objects {
		objects = append(objects, wire.Object{Key: o.Key, Path: o.Path, VersionID: o.VersionID})
	}
	return wire.Source{
		Endpoint:   spec.Endpoint,
		Region:     spec.Region,
		Addressing: string(spec.Addressing),
		Bucket:     spec.Bucket,
		Prefix:     spec.Prefix,
		PrefixMode: string(spec.PrefixMode),
		Objects:    objects,
		Include:    spec.Include,
		Exclude:    spec.Exclude,

		RequestPayer: spec.RequestPayer,
	}
}

func credentials(l v1alpha1.S3Location) wire.Credentials {
	switch c := l.Credentials; {
	case c == nil:
		return wire.Credentials{Kind: wire.Anonymous}
	case c.SecretRef != nil:
		return wire.Credentials{Kind: wire.SecretFiles, Name: c.SecretRef.Name, Keys: keys(c.SecretRef.Keys)}
	default:
		return wire.Credentials{Kind: wire.WebIdentity, Name: c.ServiceAccountName, RoleARN: c.RoleARN, Audience: audience(l)}
	}
}

func keys(k *v1alpha1.SecretKeys) wire.SecretKeys {
	if k == nil {
		return wire.SecretKeys{}
	}
	return wire.SecretKeys{AccessKey: k.AccessKey, SecretKey: k.SecretKey, SessionToken: k.SessionToken}
}

func files(f *v1alpha1.Files) wire.Files {
	if f == nil {
		return wire.Files{}
	}
	return wire.Files{UID: f.UID, GID: f.GID, Mode: permissions(f.Mode), DirMode: permissions(f.DirectoryMode)}
}

func permissions(mode *int32) *uint32 {
	if mode == nil {
		return nil
	}
	return new(uint32(*mode) & 0o777) //nolint:gosec // G115: the schema has it from 0 to 0777.
}

func trust(t *v1alpha1.TLS) wire.TLS {
	if t == nil {
		return wire.TLS{}
	}
	return wire.TLS{InsecureSkipVerify: t.InsecureSkipVerify, CABundles: len(t.CABundles)}
}

// bytesPerSecond reads spec.transfer.bandwidth, a quantity of bytes per second; empty is no limit.
func bytesPerSecond(bandwidth string) (int64, error) {
	if bandwidth == "" {
		return 0, nil
	}
	q, err := resource.ParseQuantity(bandwidth)
	if err != nil {
		return 0, fmt.Errorf("read spec.transfer.bandwidth %q: %w", bandwidth, err)
	}
	return q.Value(), nil
}
