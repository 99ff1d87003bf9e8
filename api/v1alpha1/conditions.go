// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types.
const (
	// ConditionPopulated on a claim: True when its volume holds the whole verified data,
	// Unknown while that is under way, False when it ended or cannot begin without help.
	ConditionPopulated = Group + "/Populated"
	// ConditionExported on a claim: True when its last export that ended was complete, False when
	// that failed, or found no file where one before it had some, or when none can begin, Unknown until
	// one has ended.
	ConditionExported = Group + "/Exported"
	// ConditionFinalExport on a claim that is being deleted and that asks to be exported before: False
	// when that needs help, Unknown while it waits or runs. With True the claim is about to go.
	ConditionFinalExport = Group + "/FinalExport"
	// ConditionReady on an S3Source: True when its last inventory succeeded. On an S3ExportPolicy: False when its spec
	// cannot be followed.
	ConditionReady = "Ready"
	// ConditionStalled is True on an S3ExportPolicy whose spec cannot be followed, until somebody corrects it.
	ConditionStalled = "Stalled"
	// ConditionComplete on an S3Import: True when the data is on the volume. On an S3Export: True
	// when everything is in S3; until then its reason tells what is waited for.
	ConditionComplete = "Complete"
	// ConditionFailed on an S3Import or an S3Export: True when it ended without that.
	ConditionFailed = "Failed"
	// ConditionRemovalPending is True on an S3Export while what it made for itself cannot be removed.
	ConditionRemovalPending = "RemovalPending"
)

// Reason is the reason of a condition and of the event that tells of it. Reasons that a
// mover reports are those of package mover/wire.
type Reason string

// Reasons of ConditionPopulated. docs/operations.md explains each with its fix.
const (
	// Waiting for something outside; nothing of ours exists yet.
	ReasonSourceNotFound       Reason = "SourceNotFound"
	ReasonWaitForFirstConsumer Reason = "WaitForFirstConsumer"
	ReasonStorageClassNotFound Reason = "StorageClassNotFound"
	ReasonStorageClassUnset    Reason = "StorageClassUnset"
	ReasonUnsupportedClass     Reason = "UnsupportedStorageClass"
	ReasonUnsupportedClaim     Reason = "UnsupportedClaim"
	ReasonQuotaExceeded        Reason = "QuotaExceeded"
	ReasonPrimeRefused         Reason = "PrimeRefused"
	ReasonMoverRefused         Reason = "MoverRefused"
	ReasonWriteRefused         Reason = "WriteRefused"
	ReasonReadFailed           Reason = "ReadFailed"
	ReasonLabelsChanged        Reason = "LabelsChanged"
	ReasonPrimeConflict        Reason = "PrimeConflict"
	ReasonProvisioning         Reason = "Provisioning"
	ReasonRescheduling         Reason = "Rescheduling"
	ReasonQueued               Reason = "Queued"
	ReasonPopulating           Reason = "Populating"
	ReasonMoverPending         Reason = "MoverPending"
	ReasonRequestChanged       Reason = "RequestChanged"
	ReasonMoverLost            Reason = "MoverLost"
	ReasonRebinding            Reason = "Rebinding"
	ReasonRebindBlocked        Reason = "RebindBlocked"
	ReasonVolumeCaptured       Reason = "VolumeCaptured"
	ReasonVolumeAttached       Reason = "VolumeAttached"
	ReasonBoundElsewhere       Reason = "BoundElsewhere"
	ReasonLeftAlone            Reason = "LeftAlone"
	ReasonNotPopulated         Reason = "NotPopulated"
	ReasonPopulated            Reason = "Populated"
)

// Reasons of events on a claim that are no condition's reason.
const (
	ReasonPopulationStarted   Reason = "PopulationStarted"
	ReasonPopulationSucceeded Reason = "PopulationSucceeded"
	ReasonPopulationAborted   Reason = "PopulationAborted"
)

// ReasonVolumeOrphaned is an event on a volume.
const ReasonVolumeOrphaned Reason = "VolumeOrphaned"

// Reasons of ConditionReady on an S3Source; a failed inventory adds those of mover/wire.
const (
	ReasonInventoryTaken   Reason = "InventoryTaken"
	ReasonTakingInventory  Reason = "TakingInventory"
	ReasonInventoryRefused Reason = "InventoryRefused"
	ReasonInventoryPending Reason = "InventoryPending"
	ReasonInventorySkipped Reason = "InventorySkipped"
	ReasonExportNotFound   Reason = "ExportNotFound"
)

// ReasonTokenReused is an event on a claim whose token to export or import was there before the last one.
const ReasonTokenReused Reason = "TokenReused"

// Reasons of events on a claim that names its source by annotations.
const (
	ReasonInvalidAnnotations Reason = "InvalidAnnotations"
	ReasonSourceConflict     Reason = "SourceConflict"
)

// Reasons of ConditionReady on an S3ExportPolicy.
const (
	ReasonScheduled       Reason = "Scheduled"
	ReasonRunsWaiting     Reason = "RunsWaiting"
	ReasonOnDeleteOnly    Reason = "OnDeleteOnly"
	ReasonSuspended       Reason = "Suspended"
	ReasonInvalidSchedule Reason = "InvalidSchedule"
	ReasonInvalidSelector Reason = "InvalidSelector"
)

// Reasons of events on an S3ExportPolicy, of which the message of its ConditionReady tells, too.
const (
	ReasonOlderPolicyDecides Reason = "OlderPolicyDecides"
	ReasonClaimsSkipped      Reason = "ClaimsSkipped"
)

// Reasons of events on an S3ExportPolicy with pruneData.
const (
	ReasonPruned       Reason = "Pruned"
	ReasonPruneHeld    Reason = "PruneHeld"
	ReasonPruneGivenUp Reason = "PruneGivenUp"
)

// ReasonScheduledAhead is an event on an S3ExportPolicy and on a claim with a schedule.
const ReasonScheduledAhead Reason = "ScheduledAhead"

// Reasons of events on an S3ExportPolicy that are no condition's reason, the second also on a claim with
// a schedule; the names are those of CronJob.
const (
	ReasonMissSchedule       Reason = "MissSchedule"
	ReasonTooManyMissedTimes Reason = "TooManyMissedTimes"
)

// Reasons of ConditionExported.
const (
	ReasonExported     Reason = "Exported"
	ReasonExporting    Reason = "Exporting"
	ReasonExportFailed Reason = "ExportFailed"
	ReasonExportEmpty  Reason = "ExportEmpty"
	ReasonNotExported  Reason = "NotExported"
)

// Reasons of ConditionComplete on an S3Export. Those above, of a claim and of mover/wire that fit are used, too.
const (
	ReasonClaimNotFound    Reason = "ClaimNotFound"
	ReasonClaimNotBound    Reason = "ClaimNotBound"
	ReasonClaimReplaced    Reason = "ClaimReplaced"
	ReasonClaimInUse       Reason = "ClaimInUse"
	ReasonUserUnknown      Reason = "UserUnknown"
	ReasonDestinationInUse Reason = "DestinationInUse"
	ReasonInvalidPrefix    Reason = "InvalidPrefix"
	// ReasonSourceNotShareable: several pods are to read a volume that one pod at a time may mount.
	ReasonSourceNotShareable Reason = "SourceNotShareable"

	// Of a snapshot or clone that the export makes to read from.
	ReasonPreparing                Reason = "Preparing"
	ReasonSnapshotsUnavailable     Reason = "SnapshotsUnavailable"
	ReasonSnapshotClassNotFound    Reason = "SnapshotClassNotFound"
	ReasonUnsupportedSnapshotClass Reason = "UnsupportedSnapshotClass"
	ReasonFreeVolume               Reason = "FreeVolume"
	ReasonSnapshotRefused          Reason = "SnapshotRefused"
	ReasonSnapshotFailed           Reason = "SnapshotFailed"
	ReasonSnapshotPending          Reason = "SnapshotPending"
	ReasonRemovalPending           Reason = "RemovalPending"
	ReasonRemovalRefused           Reason = "RemovalRefused"
	ReasonTemporaryClaimRefused    Reason = "TemporaryClaimRefused"
)

// Reasons of events on an S3Export that are no condition's reason.
const (
	ReasonExportStarted Reason = "ExportStarted"
	ReasonExportMoved   Reason = "ExportMoved"
	ReasonUploadsLeft   Reason = "UploadsLeft"
	// ReasonDestinationShared is told of a destination that another claim is exported to, too.
	ReasonDestinationShared Reason = "DestinationShared"
)

// Reasons of ConditionComplete on an S3Import of a user. Those of claims and exports that fit are used, too.
const (
	ReasonImporting         Reason = "Importing"
	ReasonImported          Reason = "Imported"
	ReasonClaimImporting    Reason = "ClaimImporting"
	ReasonInvalidSelection  Reason = "InvalidSelection"
	ReasonSelectionChanged  Reason = "SelectionChanged"
	ReasonUnsupportedSource Reason = "UnsupportedSource"
)

// Reasons of events on an S3Import that are no condition's reason.
const (
	ReasonImportStarted Reason = "ImportStarted"
	ReasonImportMoved   Reason = "ImportMoved"
)

// Reasons of ConditionFinalExport; ClaimInUse and those that fit are used, too.
const (
	ReasonVolumeUnsettled     Reason = "VolumeUnsettled"
	ReasonVolumeTaken         Reason = "VolumeTaken"
	ReasonExportClaimConflict Reason = "ExportClaimConflict"
	ReasonExportClaimRefused  Reason = "ExportClaimRefused"
	ReasonFinalExportRunning  Reason = "FinalExportRunning"
	ReasonFinalExportFailed   Reason = "FinalExportFailed"
	ReasonFinalExportRefused  Reason = "FinalExportRefused"
	ReasonFinalExportEnding   Reason = "FinalExportEnding"
	ReasonFinalExportComplete Reason = "FinalExportComplete"
	ReasonFinalExportSkipped  Reason = "FinalExportSkipped"
	// ReasonFinalExportNotAsked is an event only: the claim is not held any more, and is not being deleted.
	ReasonFinalExportNotAsked Reason = "FinalExportNotAsked"
)
