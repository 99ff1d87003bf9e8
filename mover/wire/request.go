// SPDX-License-Identifier: Apache-2.0

// Package wire holds what crosses the boundary of a mover pod: the Request it
// is started with, the Progress it sends while it runs and the Report it ends
// with. Both sides, manager and mover, share these types; the package imports
// the standard library only and carries no secret in any field.
package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Paths inside a mover pod. The pod builder mounts them, the mover reads them.
const (
	VolumePath      = "/volume"                   // Filesystem volume.
	DevicePath      = "/dev/volume"               // Block volume.
	ScratchPath     = "/run/mover"                // Memory-backed, holds mc's rendered configuration.
	CredentialsPath = "/run/secrets/s3"           // #nosec G101 -- a directory; one file per key of the Secret.
	CABundlesPath   = "/run/ca"                   // One directory per bundle, in order: 0, 1, ...
	TokenPath       = "/run/secrets/s3populator"  // #nosec G101 -- a directory; the projected tokens.
	ProgressToken   = TokenPath + "/progress"     // #nosec G101 -- audience s3populator.io.
	IdentityToken   = TokenPath + "/web-identity" // #nosec G101 -- audience sts.amazonaws.com.
	TerminationPath = "/dev/termination-log"      // Where the Report is written.
	JournalDir      = ".s3populator"              // Below the volume's root; removed before the mover ends with Done.
	MaxReportBytes  = 4096                        // Kubernetes cuts termination messages there.
	ProgressPath    = "/v1/progress"              // Path of the manager's progress endpoint.
	ProgressEvery   = "Progress-Every"            // Header of its answers: seconds until the next message, a whole number.
	TokenAudience   = "s3populator.io"            // #nosec G101 -- an audience, not a token.
	STSAudience     = "sts.amazonaws.com"         // What the STS of AWS expects.
)

// ConsumerArgument instead of a request: the process ends at once. Its pod is there only so
// that the scheduler has its claim bound.
const ConsumerArgument = "consumer"

// Operation says what a mover does.
type Operation string

// The operations of a mover.
const (
	// Inventory lists the source and reports objects, bytes and digest; it touches no volume.
	Inventory Operation = "Inventory"
	// Populate fills a volume that is exclusively ours: whatever is on it and not in the listing is removed.
	Populate Operation = "Populate"
	// Export sends what is below Volume.TargetPath to S3. The volume is mounted read-only and never written.
	Export Operation = "Export"
	// Abort ends the multipart uploads that movers of one run of an Export have left below its prefix, and
	// removes what the run kept there. Nothing is read from a volume, and objects that are complete stay.
	Abort Operation = "Abort"
	// Prune removes the objects of a complete run of an Export that its manifest lists and no other one. The
	// manifest stops to be one first, so that what is left is never taken for a complete export.
	Prune Operation = "Prune"
	// Import brings files to Volume.TargetPath of a volume that may be in use. Each is verified beside its
	// place and renamed over it; nothing else on the volume is changed.
	Import Operation = "Import"
)

// Request is all a mover is told; it is passed as arguments, see EncodeArgs, so it must hold no secret.
type Request struct {
	Operation   Operation   `json:"operation"`
	Source      Source      `json:"source"`
	Volume      Volume      `json:"volume,omitzero"`
	Policy      Policy      `json:"policy,omitzero"`
	Transfer    Transfer    `json:"transfer,omitzero"`
	Credentials Credentials `json:"credentials,omitzero"`
	TLS         TLS         `json:"tls,omitzero"`
	Files       Files       `json:"files,omitzero"`
	Progress    Progress    `json:"progress,omitzero"`
	// Export is set for the operations Export, Abort and Prune only; Source is then the destination.
	Export ExportOptions `json:"export,omitzero"`
	// Import is set for the operation Import only.
	Import ImportOptions `json:"import,omitzero"`
	// Prune is set for the operation Prune only.
	Prune PruneOptions `json:"prune,omitzero"`
	// Attempt counts from 1. The first one accepts an empty volume, or one of this claim.
	Attempt int `json:"attempt,omitempty"`
}

// First reports whether no mover was started for this request before.
func (r Request) First() bool { return r.Attempt <= 1 }

// PodUIDVariable is the environment variable that tells a mover its pod's UID.
const PodUIDVariable = "S3POPULATOR_POD_UID"

// IsUID reports whether a text may be a UID of Kubernetes: letters, digits and "-", and not
// so long that two of them do not fit into a sector.
func IsUID(s string) bool {
	const most = 64 // A UUID has 36.
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// Source names the objects to read. For an Export it is the destination: Prefix is resolved, without a
// template, and empty or ending in "/"; Include and Exclude are globs on the path below Volume.TargetPath;
// Objects is empty.
type Source struct {
	// Endpoint is a URL such as https://minio.data.svc:9000; empty means AWS for the region.
	Endpoint   string `json:"endpoint,omitempty"`
	Region     string `json:"region,omitempty"`
	Addressing string `json:"addressing,omitempty"` // Auto, Path or VirtualHost.
	Bucket     string `json:"bucket"`
	Prefix     string `json:"prefix,omitempty"`
	// PrefixMode is Directory (imagenet does not include imagenet2/) or Literal.
	PrefixMode string   `json:"prefixMode,omitempty"`
	Objects    []Object `json:"objects,omitempty"` // Exactly these, instead of the prefix.
	Include    []string `json:"include,omitempty"` // Doublestar globs on the path below the prefix.
	Exclude    []string `json:"exclude,omitempty"`
	// RequestPayer sends x-amz-request-payer: requester with everything that is asked of S3.
	RequestPayer bool `json:"requestPayer,omitempty"`
}

// Object is one explicitly named object and where it goes, relative to the target path.
type Object struct {
	Key  string `json:"key"`
	Path string `json:"path,omitempty"` // Empty: the key's own path below the prefix.
	// VersionID is one version of the object; empty: the current one.
	VersionID string `json:"versionId,omitempty"`
}

// VolumeMode is Filesystem or Block, as in a claim.
type VolumeMode string

// The modes of a volume.
const (
	Filesystem VolumeMode = "Filesystem"
	Block      VolumeMode = "Block"
)

// Volume says where the data goes, or for an Export where it comes from.
type Volume struct {
	Mode VolumeMode `json:"mode,omitempty"`
	// ClaimUID is the claim that is filled. The journal on the volume carries it, and tells a
	// volume of ours from one that was handed out with somebody's data on it.
	ClaimUID string `json:"claimUID,omitempty"`
	// Began means that an earlier mover of this volume said so in its Report: without a journal the volume
	// is complete, and may have been handed over.
	Began bool `json:"began,omitempty"`
	// Arrived is what earlier movers of a Block volume have told; nil is nothing.
	Arrived *Arrived `json:"arrived,omitempty"`
	// Temporary is the UID of a claim that was made from a snapshot or a clone of that one, and is read in its
	// place; its content is not older than AsOf. For an Export only, and both or none.
	Temporary string    `json:"temporary,omitempty"`
	AsOf      time.Time `json:"asOf,omitzero"`
	// TargetPath is a directory inside the volume, for an Export a directory or a file; relative, no "..". An
	// Import of one object to a file's name has the directory of that file here, and the name in Object.Path.
	TargetPath string `json:"targetPath,omitempty"`
}

// Policy values shared by OnEmpty, UnsafeKeys, OnExisting and UnsafePaths.
const (
	Fail  = "Fail"
	Allow = "Allow"
	Skip  = "Skip"
)

// Policy says what to do with unusual sources.
type Policy struct {
	OnEmpty    string `json:"onEmpty,omitempty"`    // Fail or Allow.
	UnsafeKeys string `json:"unsafeKeys,omitempty"` // Fail or Skip.
	// RestoreAttributes gives files the mode, times, links, attributes and owners that the manifest of an
	// export below the prefix holds.
	RestoreAttributes bool `json:"restoreAttributes,omitempty"`
	// Run is the export that is read, where the source names one. Nothing is read of one that is not whole any more.
	Run ExportedRun `json:"run,omitzero"`
}

// ExportedRun is a complete run of an Export, as its mover has reported it.
type ExportedRun struct {
	UID    string `json:"uid,omitempty"` // Of the S3Export.
	Prefix string `json:"prefix,omitempty"`
	Digest string `json:"digest,omitempty"`
}

// The engines that a mover of this version has; Auto and none leave the choice to it.
const (
	EngineAuto   = "Auto"
	EngineMC     = "MC"
	EngineNative = "Native"
)

// Transfer tunes the engine.
type Transfer struct {
	Engine      string `json:"engine,omitempty"`      // Auto, MC or Native.
	Parallelism int    `json:"parallelism,omitempty"` // 0: the engine's own choice.
	// BytesPerSecond caps the download rate; 0: no cap.
	BytesPerSecond int64  `json:"bytesPerSecond,omitempty"`
	Verify         string `json:"verify,omitempty"` // Checksum or Size.
}

// CredentialKind says where the mover finds its S3 identity.
type CredentialKind string

// The kinds of credentials.
const (
	Anonymous   CredentialKind = "Anonymous"
	SecretFiles CredentialKind = "SecretFiles" // Files below CredentialsPath.
	WebIdentity CredentialKind = "WebIdentity" // AWS_* variables injected by the platform, else IdentityToken.
)

// Credentials names the kind only; the values are mounted files or injected variables.
type Credentials struct {
	Kind CredentialKind `json:"kind,omitempty"`
	// Name of the Secret or ServiceAccount, for messages a user can act on.
	Name string `json:"name,omitempty"`
	// RoleARN for WebIdentity without an injecting platform; empty is right for MinIO.
	RoleARN string `json:"roleARN,omitempty"`
	// Audience of the token at IdentityToken, for messages; the pod builder has chosen it.
	Audience string `json:"audience,omitempty"`
	// Keys are the names of a Secret's keys where they are not the usual ones.
	Keys SecretKeys `json:"keys,omitzero"`
}

// SecretKeys are names of files below CredentialsPath; an empty one means the usual names.
type SecretKeys struct {
	AccessKey    string `json:"accessKey,omitempty"`
	SecretKey    string `json:"secretKey,omitempty"`
	SessionToken string `json:"sessionToken,omitempty"`
}

// Files says what the files and directories of the data become; nil leaves them as they are written.
type Files struct {
	UID     *int64  `json:"uid,omitempty"`
	GID     *int64  `json:"gid,omitempty"`
	Mode    *uint32 `json:"mode,omitempty"`    // Of files; permission bits only.
	DirMode *uint32 `json:"dirMode,omitempty"` // Of directories; permission bits only.
}

// TLS says how the S3 endpoint is trusted.
type TLS struct {
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
	// CABundles counts the directories below CABundlesPath; every file in them is PEM.
	CABundles int `json:"caBundles,omitempty"`
	// CAPEM are certificates that the whole installation trusts; public, so they may be an argument.
	CAPEM string `json:"caPEM,omitempty"`
}

// Progress says where to send it. An empty URL turns it off; a failing endpoint never fails a transfer.
type Progress struct {
	URL string `json:"url,omitempty"`
	// CABundle is the PEM that signed the endpoint's certificate; public, so it may be an argument.
	CABundle string `json:"caBundle,omitempty"`
}

// ParseRequest reads the argument of a mover and refuses what it does not know,
// so that an older mover never ignores a newer manager's wish.
func ParseRequest(arg string) (Request, error) {
	var r Request
	if err := decodeStrict(arg, &r); err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	switch {
	case !slices.Contains([]Operation{Inventory, Populate, Export, Abort, Prune, Import}, r.Operation):
		return Request{}, fmt.Errorf("parse request: unknown operation %q", r.Operation)
	case r.Source.Bucket == "":
		return Request{}, errors.New("parse request: source.bucket is empty")
	case r.Operation == Populate && r.Volume.Mode != Filesystem && r.Volume.Mode != Block:
		return Request{}, fmt.Errorf("parse request: unknown volume.mode %q", r.Volume.Mode)
	case !slices.Contains([]string{"", EngineAuto, EngineMC, EngineNative}, r.Transfer.Engine):
		return Request{}, fmt.Errorf(
			"parse request: unknown transfer.engine %q; the mover's image is older than the manager's, or spec.transfer.engine is wrong",
			r.Transfer.Engine,
		)
	case r.Operation == Populate && !IsUID(r.Volume.ClaimUID):
		return Request{}, fmt.Errorf("parse request: volume.claimUID %q is not a UID", r.Volume.ClaimUID)
	}
	if err := errors.Join(checkExport(r), checkImport(r), checkPrune(r)); err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	if r.Volume.Arrived.Check() != nil { // It only saves time.
		r.Volume.Arrived = nil
	}
	return r, nil
}

// Encode renders the request as JSON. Keys keep their characters: "<" takes one byte, not six.
func (r Request) Encode() (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return "", fmt.Errorf("encode request: %w", err)
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
