// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"errors"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// refused says what a person changes where S3 refuses what was asked for, and leaves other errors alone.
func (x *export) refused(err error) error {
	var response minio.ErrorResponse
	if fault.ReasonOf(err) != "" || !errors.As(err, &response) {
		return err
	}
	switch response.Code {
	case "InvalidStorageClass":
		return fault.New(
			wire.RequestRejected,
			"S3 has no spec.storageClass %q; correct or remove it",
			x.options.StorageClass,
		).Because(
			err,
		)
	case "InvalidTag", "InvalidTagError":
		return fault.New(wire.RequestRejected, "S3 refuses spec.tags: %s; correct them", response.Message).Because(err)
	case "KMS.NotFoundException", "KMS.DisabledException", "KMSNotConfigured", "XMinioKMSNotConfigured",
		"InvalidEncryptionAlgorithmError", "ServerSideEncryptionConfigurationNotFoundError":
		return fault.New(wire.RequestRejected, "S3 refuses spec.serverSideEncryption: %s (%s); correct or remove it",
			response.Message, response.Code).Because(err)
	case "NotImplemented":
		return fault.New(wire.RequestRejected, "%s does not support what the export asks for: %s; remove spec.storageClass, "+
			"spec.serverSideEncryption and spec.tags", x.Faults.Where(), response.Message).Because(err)
	case "ObjectParentIsFile", "ExistingObjectIsDirectory", "XMinioParentIsObject":
		return fault.New(
			wire.RequestRejected,
			"%s keeps objects as files, and one is in the way: %s; export to an empty prefix",
			x.Faults.Where(),
			err,
		).Because(
			err,
		)
	case "EntityTooLarge", "KeyTooLongError":
		return fault.New(wire.RequestRejected, "S3 refuses an object: %s (%s)", response.Message, response.Code).Because(err)
	}
	return err
}
