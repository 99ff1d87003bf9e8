// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Group is the API group, and the prefix of every name below.
const Group = "s3populator.io"

// KindS3Source is what a claim's dataSourceRef names.
const KindS3Source = "S3Source"

// KindS3Import is one run from S3 to a claim.
const KindS3Import = "S3Import"

// KindS3Export is one run from a claim to S3.
const KindS3Export = "S3Export"

// FinalizerExport on an S3Export, written and removed by the manager: multipart uploads of it may be
// open. It goes when the run is complete, or when they have been ended.
const FinalizerExport = Group + "/uploads"

// FieldOwner marks the manager's writes in managedFields.
const FieldOwner = "s3populator"

// ManagedBy is the value of app.kubernetes.io/managed-by on everything that we make.
const ManagedBy = "s3populator"

// Labels on objects that we make.
const (
	// LabelManagedBy has the value ManagedBy; written by us, read by our caches and the sweeper.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelClaimUID is the UID of the claim that a prime, mover, S3Import or S3Export serves. A run with it is for no
	// other claim, whatever that is named.
	LabelClaimUID = Group + "/claim-uid"
	// LabelSourceUID is the UID of the S3Source that a mover reads.
	LabelSourceUID = Group + "/source-uid"
	// LabelExportUID is the UID of the S3Export that a mover serves.
	LabelExportUID = Group + "/export-uid"
	// LabelImportUID is the UID of the S3Import that a mover serves.
	LabelImportUID = Group + "/import-uid"
	// LabelAsOf on the temporary claim of an S3Export: its content is not older than this time, which is in
	// seconds since 1970.
	LabelAsOf = Group + "/as-of"
	// LabelRole tells what an object is for: one of the values below.
	LabelRole = Group + "/role"
	// LabelVeleroExclude keeps primes and movers out of backups; read by Velero.
	LabelVeleroExclude = "velero.io/exclude-from-backup"
)

// Values of LabelRole.
const (
	RolePrime     = "prime"
	RolePopulate  = "populate"
	RoleConsumer  = "consumer"
	RoleInventory = "inventory"
	RoleExport    = "export"
	RoleAbort     = "abort"
	RolePrune     = "prune"
	// RoleImport is that of the mover of an S3Import, and of the S3Imports that the manager makes for a token.
	RoleImport = "import"
	// RoleFinalExport is that of the claim that holds a volume during a final export, and of its S3Export.
	RoleFinalExport = "final-export"
	// RoleTemporary is that of the claim and the VolumeSnapshot that an S3Export makes to read from.
	RoleTemporary = "temporary"
)

// Annotations that users write.
const (
	// AnnotationRetry on a claim: any new value ends a terminal failure and tries again.
	AnnotationRetry = Group + "/retry"
	// AnnotationRefresh on an S3Source: any new value takes a new inventory.
	AnnotationRefresh = Group + "/refresh"
	// AnnotationBind on a claim: BindImmediate populates without waiting for a consumer,
	// although the class says WaitForFirstConsumer.
	AnnotationBind = Group + "/bind"
	// BindImmediate is the only value of AnnotationBind.
	BindImmediate = "Immediate"
	// AnnotationSource on a claim names an S3Source; read by the webhook, which writes dataSourceRef.
	AnnotationSource = Group + "/source"
)

// AnnotationInventory on an S3Source: InventorySkip takes none; written by the manager on
// sources that it makes from a claim's annotations.
const AnnotationInventory = Group + "/inventory"

// InventorySkip is the only value of AnnotationInventory.
const InventorySkip = "Skip"

// Annotations on a claim that name its source by a URL instead of by an S3Source. The webhook
// checks them and writes dataSourceRef, the manager makes that S3Source, owned by the claim.
const (
	// AnnotationURL is s3://bucket/prefix; on a Block volume s3://bucket/key.
	AnnotationURL = Group + "/url"
	// AnnotationEndpoint is spec.endpoint of the source.
	AnnotationEndpoint = Group + "/endpoint"
	// AnnotationRegion is spec.region of the source.
	AnnotationRegion = Group + "/region"
	// AnnotationSecret is spec.credentials.secretRef.name of the source.
	AnnotationSecret = Group + "/secret"
	// AnnotationServiceAccount is spec.credentials.serviceAccountName of the source.
	AnnotationServiceAccount = Group + "/service-account"
	// AnnotationCAConfigMap is spec.tls.caBundles[0].configMap.name of the source; its key is ca.crt.
	AnnotationCAConfigMap = Group + "/ca-configmap"
)

// Annotations on a claim that the webhook alone acts on.
const (
	// AnnotationAutoSize "true" makes the volume as large as the source needs; the webhook
	// writes AnnotationGrowTo, the populator makes the larger volume.
	AnnotationAutoSize = Group + "/auto-size"
	// AutoSizeOn is the value of AnnotationAutoSize that asks for it.
	AutoSizeOn = "true"
	// AutoSizeOff is the other one.
	AutoSizeOff = "false"
	// GrowToInventory is the value of AnnotationGrowTo: the prime asks for what the inventory
	// needs, once there is one, if that is more than the claim requests.
	GrowToInventory = "Inventory"
)

// Annotations on a claim that ask for exports of it. The webhook checks them, the manager makes
// S3Exports of them, owned by the claim.
const (
	// ExportPrefix begins them all.
	ExportPrefix = Group + "/export-"
	// AnnotationExportTo is s3://bucket/prefix. Without {{}} in the prefix, what tells claims and
	// runs apart is added to it.
	AnnotationExportTo = Group + "/export-to"
	// AnnotationExportEndpoint is spec.destination.endpoint of the exports.
	AnnotationExportEndpoint = Group + "/export-endpoint"
	// AnnotationExportRegion is spec.destination.region of the exports.
	AnnotationExportRegion = Group + "/export-region"
	// AnnotationExportSecret is spec.destination.credentials.secretRef.name of the exports.
	AnnotationExportSecret = Group + "/export-secret"
	// AnnotationExportServiceAccount is spec.destination.credentials.serviceAccountName of the exports.
	AnnotationExportServiceAccount = Group + "/export-service-account"
	// AnnotationExportCAConfigMap is the ConfigMap of spec.destination.tls of the exports; its key is ca.crt.
	AnnotationExportCAConfigMap = Group + "/export-ca-configmap"
	// AnnotationExportNow: any new value is one export.
	AnnotationExportNow = Group + "/export-now"
	// AnnotationExportSchedule is when exports begin, as a CronJob's schedule in UTC.
	AnnotationExportSchedule = Group + "/export-schedule"
	// AnnotationExportOnDelete ExportOnDelete keeps a claim that is deleted until its volume was exported.
	AnnotationExportOnDelete = Group + "/export-on-delete"
	// AnnotationExportRunAs is the user, and after a colon the group, as whom exports read the volume, such as
	// 1000:2000: spec.mover.podSecurityContext of the exports. Without it that is the user of the pod that uses
	// the claim; before a deletion there is none.
	AnnotationExportRunAs = Group + "/export-run-as"
	// AnnotationExportUnsafePaths is spec.unsafePaths of the exports: UnsafePathsSkip leaves files out whose names
	// cannot be keys, UnsafePathsFail, as without it, refuses them.
	AnnotationExportUnsafePaths = Group + "/export-unsafe-paths"
	// AnnotationExportConsistency is spec.consistency of the exports, but for one before a deletion: nobody writes
	// to the volume then.
	AnnotationExportConsistency = Group + "/export-consistency"
	// ExportOnDelete is the value of AnnotationExportOnDelete that asks for it.
	ExportOnDelete = "true"
)

// AnnotationImportNow on a claim that was filled from an S3Source, written by a user: any new value is one S3Import
// from that source. ImportPrefix begins it.
const (
	ImportPrefix        = Group + "/import-"
	AnnotationImportNow = Group + "/import-now"
)

// AnnotationImportedNow on a claim is the value of AnnotationImportNow that an S3Import was last made for; only the
// manager writes it.
const AnnotationImportedNow = Group + "/imported-now"

// AnnotationSkipFinalExport on a claim, written by a user at any time, also while it is being
// deleted: SkipFinalExport lets it go without the export that AnnotationExportOnDelete asks for.
const AnnotationSkipFinalExport = Group + "/skip-final-export"

// SkipFinalExport is the only value of AnnotationSkipFinalExport.
const SkipFinalExport = "true"

// FinalizerFinalExport holds a claim that AnnotationExportOnDelete selects; written and removed by
// the manager.
const FinalizerFinalExport = Group + "/final-export"

// What the manager writes, and it alone reads, for the export of a claim that is being deleted.
const (
	// AnnotationFinalExport on a volume that was taken from such a claim: JSON of the claim's name and
	// UID and of the volume's own reclaim policy. It has the policy Retain until it is given back.
	AnnotationFinalExport = Group + "/final-export"
	// AnnotationExportOf on the claim and the S3Export of a final export: the name of the claim that is
	// being deleted.
	AnnotationExportOf = Group + "/final-export-of"
	// AnnotationExportVolume on the S3Export of a final export: the volume that it reads.
	AnnotationExportVolume = Group + "/final-export-volume"
	// AnnotationExportedFor on a volume: the UID of the claim whose final export is complete.
	AnnotationExportedFor = Group + "/exported-for"
	// AnnotationExportedTo on a volume: where its final export is, for people.
	AnnotationExportedTo = Group + "/exported-to"
)

// Annotations on a claim that only the manager writes, and only the manager reads.
const (
	// AnnotationExportedNow is the value of AnnotationExportNow that an export was last made for.
	AnnotationExportedNow = Group + "/exported-now"
	// AnnotationExportedTick is the tick of AnnotationExportSchedule that an export was last made for,
	// or when the schedule was first seen; in RFC 3339.
	AnnotationExportedTick = Group + "/exported-tick"
	// AnnotationExportedFiles is JSON of the last complete export of the claim that had files, how many, and when: what
	// one that finds none is judged by, when the S3Exports are gone.
	AnnotationExportedFiles = Group + "/exported-files"
)

// AnnotationScheduledAt on an S3Export: the tick that it was made for, in RFC 3339; written by the manager,
// for people.
const AnnotationScheduledAt = Group + "/scheduled-at"

// AnnotationPruning on a complete S3Export: its UID, and when the manager began to remove its objects, in RFC 3339.
// From then on it is no run to keep, to restore or to copy from. Written by the manager, which a policy of the API
// server sees to, and read by it; with another UID it says nothing.
const AnnotationPruning = Group + "/pruning"

// AnnotationReplicas on the Deployment of the manager: how many there were before it was stopped to be uninstalled.
const AnnotationReplicas = Group + "/replicas"

// AnnotationMadeFrom on an S3Source that the manager made from a claim's annotations: hash of
// those, so that the manager follows a change of them and leaves later edits of the source alone.
const AnnotationMadeFrom = Group + "/made-from"

// AnnotationHonoursDataSource on a StorageClass, written by an administrator, read by the
// webhook and the manager: HonoursDataSource says that its provisioner leaves claims with a
// dataSourceRef to populators, although no CSIDriver object has its name.
const AnnotationHonoursDataSource = Group + "/honours-data-source"

// HonoursDataSource is the only value of AnnotationHonoursDataSource.
const HonoursDataSource = "true"

// LabelInjection on a namespace, written by an administrator, read by the API server: new
// claims of it are compared with spec.claimSelector of its sources.
const LabelInjection = Group + "/injection"

// Values of LabelInjection.
const (
	// InjectionEnabled leaves claims alone that no source selects.
	InjectionEnabled = "enabled"
	// InjectionRequired refuses claims that no source selects and that say nothing else about
	// their data.
	InjectionRequired = "required"
)

// LabelAdmission on a namespace, written by an administrator, read by the API server: with
// AdmissionExempt its claims are neither reviewed nor refused, not even those that would come
// up empty. It is for emergencies.
const LabelAdmission = Group + "/admission"

// AdmissionExempt is the only value of LabelAdmission.
const AdmissionExempt = "exempt"

// Annotations that only the manager writes, and only the manager reads.
const (
	// AnnotationPopulated on a prime: the UID of the mover whose data was verified. The
	// durable memory of success; a prime that has it is never filled again.
	AnnotationPopulated = Group + "/populated"
	// AnnotationResult on a prime: the mover's wire.Report, kept because the pod is deleted.
	AnnotationResult = Group + "/result"
	// AnnotationAttempts on a prime: JSON of the failed attempts so far.
	AnnotationAttempts = Group + "/attempts"
	// AnnotationRequestHash on a mover: hash of what it was asked for. On a populating mover and
	// on the prime that protocol.RequestHash names, on an inventory its generation and refresh token.
	AnnotationRequestHash = Group + "/request-hash"
	// AnnotationPodHash on a mover: hash of placement, resources and tuning; see protocol.PodHash.
	AnnotationPodHash = Group + "/pod-hash"
	// AnnotationSpecHash on a mover of an earlier version, in place of AnnotationRequestHash.
	AnnotationSpecHash = Group + "/spec-hash"
	// AnnotationAttempt on a mover: its number, from 1.
	AnnotationAttempt = Group + "/attempt"
	// AnnotationPrimeUID on a mover is the UID of the prime that it was made for: all primes of
	// a claim have the same name.
	AnnotationPrimeUID = Group + "/prime-uid"
	// AnnotationProgress on a mover: its latest wire.Snapshot, written by the progress endpoint.
	AnnotationProgress = Group + "/progress"
	// AnnotationScratchFor on a volume: the claim UID it is being filled for. The record that
	// its content is ours to remove; written together with the reclaim policy Delete.
	AnnotationScratchFor = Group + "/scratch-for"
	// AnnotationReclaimPolicy on a volume: the policy to restore at the rebind or release.
	AnnotationReclaimPolicy = Group + "/original-reclaim-policy"
	// AnnotationReleasing on a volume: the claim UID whose prime got it although it was not
	// made for it. It has the policy Retain until it is free again.
	AnnotationReleasing = Group + "/releasing"
	// AnnotationAttachedByConsumer on a volume: the node that it was attached to before its
	// first mover; removed when that is started.
	AnnotationAttachedByConsumer = Group + "/attached-by-consumer"
	// AnnotationPopulatedFor on a volume: the UID of the claim that it holds complete data
	// for. Written by the rebind alone, never before the data is complete.
	AnnotationPopulatedFor = Group + "/populated-for"
	// AnnotationPopulatedFrom on a volume: namespace/name of the S3Source, for people.
	AnnotationPopulatedFrom = Group + "/populated-from"
	// AnnotationManifestDigest on a volume: digest of what is on it, for people.
	AnnotationManifestDigest = Group + "/manifest-digest"
	// AnnotationGrowTo on a claim, written by the webhook: the prime may be larger than the claim.
	AnnotationGrowTo = Group + "/grow-to"
)

// AnnotationNextPrime on a claim, written and read by the manager: JSON of what must outlive
// a prime (node, size, back-off), because the next one is made from it.
const AnnotationNextPrime = Group + "/next-prime"

// AnnotationEndpointHost on a mover: the host of the S3 server that it reads from, by which
// movers are counted.
const AnnotationEndpointHost = Group + "/endpoint-host"

// AnnotationImport on a mover of an S3Import is the name of that.
const AnnotationImport = Group + "/import"

// Annotations on a mover of an S3Export, written and read by the manager. AnnotationClaimUID and AnnotationNode are on
// a mover of an S3Import, too.
const (
	// AnnotationExport is the name of the S3Export.
	AnnotationExport = Group + "/export"
	// AnnotationClaimUID is the UID of the claim whose volume is read or written.
	AnnotationClaimUID = Group + "/claim-uid"
	// AnnotationTemporaryUID is the UID of the temporary claim that the mover reads in place of that claim.
	AnnotationTemporaryUID = Group + "/temporary-uid"
	// AnnotationNode is the node that the mover must run on, because the claim is mounted there.
	AnnotationNode = Group + "/node"
	// AnnotationCopiedFrom is the prefix of the run that unchanged files are copied from.
	AnnotationCopiedFrom = Group + "/copied-from"
	// AnnotationStep is which part of a run with shards the mover has; empty is all of it. The end of a mover that was
	// made for another step than the one that is due says nothing about the run.
	AnnotationStep = Group + "/step"
)

// AnnotationMirroredNode on a prime: the node we last gave it, so that a prime that has lost
// its selected-node is told from a claim that got a new one.
const AnnotationMirroredNode = Group + "/mirrored-node"

// AnnotationSelectedNode on a claim is written by the scheduler and read by provisioners.
const AnnotationSelectedNode = "volume.kubernetes.io/selected-node"

// AnnotationStorageProvisioner on a claim is written by the PV controller when it found no
// free volume for the claim and asks for a new one; the second is its older name.
const (
	AnnotationStorageProvisioner     = "volume.kubernetes.io/storage-provisioner"
	AnnotationBetaStorageProvisioner = "volume.beta.kubernetes.io/storage-provisioner"
)

// AnnotationProvisionedBy on a volume names the provisioner that made it. A volume without
// it was made by hand.
const AnnotationProvisionedBy = "pv.kubernetes.io/provisioned-by"

// AnnotationBoundByController on a claim is written by the PV controller when it chose the
// volume; a claim that was created with spec.volumeName has none. On a volume it is written
// by the PV controller or the scheduler when they bind a claim to a volume that was free; one
// that was made for its claim has none.
const AnnotationBoundByController = "pv.kubernetes.io/bound-by-controller"

// AnnotationBindCompleted on a claim is written by the PV controller once it is fully bound.
const AnnotationBindCompleted = "pv.kubernetes.io/bind-completed"
