// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// The values of ExportOptions.OnExisting, besides Fail.
const (
	// SkipIdentical leaves an object alone that already holds what the file holds.
	SkipIdentical = "SkipIdentical"
	// Overwrite sends every file.
	Overwrite = "Overwrite"
)

// The values of Encryption.Type.
const (
	EncryptAES256 = "AES256" // SSE-S3.
	EncryptKMS    = "KMS"    // SSE-KMS.
)

// Step is a part of an export that several movers share; none is the whole of it, by one mover.
type Step string

// The steps, in order.
const (
	// StepPlan scans the volume, begins the run, and leaves below the prefix which files are which shard's. What
	// is no work for two is exported at once: the Report then names no plan.
	StepPlan Step = "Plan"
	// StepShard sends the files of one shard and leaves what came of them below the prefix. The shard is the one
	// that ShardVariable names, because all pods of a Job have the same arguments.
	StepShard Step = "Shard"
	// StepFinish makes the export complete when each shard has left what came of it.
	StepFinish Step = "Finish"
)

// ShardVariable is the environment variable that tells a mover its shard, from 0; Kubernetes sets it in the pods
// of an Indexed Job.
const ShardVariable = "JOB_COMPLETION_INDEX"

// MostShards bounds Shards, and with it the pods of a Job.
const MostShards = 256

// ExportOptions say how files become objects. The destination is Request.Source.
type ExportOptions struct {
	// Run is the UID of the S3Export; an upload that another attempt of it has begun is gone on with.
	Run string `json:"run,omitempty"`
	// Key is the key of the one object, instead of a prefix; the path must then be a file.
	Key         string `json:"key,omitempty"`
	OnExisting  string `json:"onExisting,omitempty"`  // SkipIdentical, Overwrite or Fail; empty: SkipIdentical.
	UnsafePaths string `json:"unsafePaths,omitempty"` // Fail or Skip; empty: Fail.
	// DeleteExtra removes objects that the last manifest of this claim below the prefix lists, and whose
	// files are not on the volume any more. What Include and Exclude leave out stays.
	DeleteExtra bool `json:"deleteExtra,omitempty"`
	// DryRun reports what would be sent, copied and removed, and writes nothing to S3.
	DryRun       bool              `json:"dryRun,omitempty"`
	StorageClass string            `json:"storageClass,omitempty"`
	Encryption   Encryption        `json:"encryption,omitzero"`
	Tags         map[string]string `json:"tags,omitempty"`
	// CopyFrom is the prefix of the last complete run, in the same bucket, from which S3 copies files that
	// have not changed; empty: none.
	CopyFrom string `json:"copyFrom,omitempty"`
	// Step is the part of the export that this mover has.
	Step Step `json:"step,omitempty"`
	// Shards is how many a plan may have at most.
	Shards int `json:"shards,omitempty"`
	// Plan is the digest of the plan to follow, as the Report of StepPlan has told it: others may write below the
	// prefix, too. For StepPlan it is that of an earlier attempt, whose plan is kept if it still holds.
	Plan string `json:"plan,omitempty"`
}

// Encryption is what S3 is asked to encrypt objects with; none leaves it to the bucket.
type Encryption struct {
	Type     string `json:"type,omitempty"`     // AES256 or KMS.
	KMSKeyID string `json:"kmsKeyID,omitempty"` // For KMS; empty: the default key of the account.
}

// checkExport refuses an export that a mover could only guess the meaning of.
func checkExport(r Request) error { //nolint:gocyclo // A case for each field.
	e := r.Export
	if r.Operation == Abort || r.Operation == Prune {
		if !IsUID(e.Run) {
			return fmt.Errorf("export.run %q is not a UID", e.Run)
		}
		if e.Step != "" {
			return fmt.Errorf("export.step is set for operation %s", r.Operation)
		}
		return checkDestination(r)
	}
	if r.Operation != Export {
		if !reflect.ValueOf(e).IsZero() {
			return fmt.Errorf("export is set for operation %s", r.Operation)
		}
		if r.Volume.Temporary != "" || !r.Volume.AsOf.IsZero() {
			return fmt.Errorf("volume.temporary is set for operation %s", r.Operation)
		}
		return nil
	}
	switch {
	case (r.Volume.Temporary == "") != r.Volume.AsOf.IsZero():
		return errors.New("of volume.temporary and volume.asOf only one is set")
	case r.Volume.Temporary != "" && !IsUID(r.Volume.Temporary):
		return fmt.Errorf("volume.temporary %q is not a UID", r.Volume.Temporary)
	case r.Volume.Mode != Filesystem:
		return fmt.Errorf("volume.mode %q cannot be exported", r.Volume.Mode)
	case !IsUID(r.Volume.ClaimUID):
		return fmt.Errorf("volume.claimUID %q is not a UID", r.Volume.ClaimUID)
	case !IsUID(e.Run):
		return fmt.Errorf("export.run %q is not a UID", e.Run)
	case !slices.Contains([]string{"", SkipIdentical, Overwrite, Fail}, e.OnExisting):
		return fmt.Errorf("unknown export.onExisting %q", e.OnExisting)
	case !slices.Contains([]string{"", Fail, Skip}, e.UnsafePaths):
		return fmt.Errorf("unknown export.unsafePaths %q", e.UnsafePaths)
	case !slices.Contains([]string{"", EncryptAES256, EncryptKMS}, e.Encryption.Type):
		return fmt.Errorf("unknown export.encryption.type %q", e.Encryption.Type)
	case e.Encryption.KMSKeyID != "" && e.Encryption.Type != EncryptKMS:
		return errors.New("export.encryption.kmsKeyID needs type KMS")
	}
	if err := checkStep(e); err != nil {
		return err
	}
	return checkDestination(r)
}

func checkStep(e ExportOptions) error {
	switch {
	case !slices.Contains([]Step{"", StepPlan, StepShard, StepFinish}, e.Step):
		return fmt.Errorf("unknown export.step %q", e.Step)
	case e.Step != "" && (e.Key != "" || e.DryRun):
		return errors.New("export.step excludes export.key and export.dryRun")
	case (e.Step == StepPlan) != (e.Shards > 0) || e.Shards < 0 || e.Shards > MostShards:
		return fmt.Errorf("export.shards is %d in step %q", e.Shards, e.Step)
	case e.Step == "" && e.Plan != "", (e.Step == StepShard || e.Step == StepFinish) && e.Plan == "":
		return fmt.Errorf("export.plan is %q in step %q", e.Plan, e.Step)
	}
	return nil
}

func checkDestination(r Request) error {
	e := r.Export
	switch {
	case len(r.Source.Objects) > 0:
		return fmt.Errorf("source.objects is set for operation %s", r.Operation)
	case r.Source.RequestPayer:
		return fmt.Errorf("source.requestPayer is set for operation %s", r.Operation)
	case r.Source.PrefixMode != "" && r.Source.PrefixMode != "Directory":
		return fmt.Errorf("source.prefixMode %q is set for operation %s", r.Source.PrefixMode, r.Operation)
	case !isDirectory(r.Source.Prefix):
		return fmt.Errorf("source.prefix %q does not end in a slash", r.Source.Prefix)
	case !isDirectory(e.CopyFrom):
		return fmt.Errorf("export.copyFrom %q does not end in a slash", e.CopyFrom)
	case e.CopyFrom != "" && e.CopyFrom == r.Source.Prefix:
		return errors.New("export.copyFrom is the destination itself")
	}
	return checkKey(r)
}

func checkKey(r Request) error {
	e := r.Export
	switch {
	case e.Key == "":
		return nil
	case strings.HasSuffix(e.Key, "/"):
		return fmt.Errorf("export.key %q ends in a slash", e.Key)
	case r.Source.Prefix != "" || e.CopyFrom != "" || e.DeleteExtra:
		return errors.New("export.key excludes source.prefix, export.copyFrom and export.deleteExtra")
	}
	return nil
}

func isDirectory(prefix string) bool { return prefix == "" || strings.HasSuffix(prefix, "/") }
