// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// S3ExportPolicy exports the claims of its namespace that it selects, on a schedule, before they are deleted, or
// both. At each tick the manager makes an S3Export for every one of them; the policy owns it, as a CronJob owns its
// Jobs.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=s3exportpolicies,singular=s3exportpolicy,shortName=s3pol,categories=s3populator
// +kubebuilder:printcolumn:name="Schedule",type=string,JSONPath=`.spec.schedule`
// +kubebuilder:printcolumn:name="Suspend",type=boolean,JSONPath=`.spec.suspend`
// +kubebuilder:printcolumn:name="Claims",type=integer,JSONPath=`.status.claims`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.active`
// +kubebuilder:printcolumn:name="Last",type=date,JSONPath=`.status.lastScheduleTime`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type S3ExportPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +required
	Spec S3ExportPolicySpec `json:"spec"`
	// +optional
	Status S3ExportPolicyStatus `json:"status,omitempty"`
}

// S3ExportPolicyList is a list of S3ExportPolicy.
//
// +kubebuilder:object:root=true
type S3ExportPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []S3ExportPolicy `json:"items"`
}

// S3ExportPolicySpec says which claims are exported, when, and where to. A change concerns the runs that begin
// after it, and exports before a deletion that are not complete.
//
// +kubebuilder:validation:XValidation:rule="has(self.schedule) || has(self.onDelete) && self.onDelete",message="schedule: nothing would ever be exported; write when, such as 0 3 * * *, or set onDelete: true"
// +kubebuilder:validation:XValidation:rule="!has(self.onDelete) || !self.onDelete || !(has(self.template.path) && size(self.template.path) > 0) && !has(self.template.include) && !has(self.template.exclude) && !(has(self.template.dryRun) && self.template.dryRun)",message="onDelete: all of a claim is exported before it goes; remove path, include, exclude and dryRun from template, or write them to another policy"
// +kubebuilder:validation:XValidation:rule="!has(self.template.destination.key)",message="template.destination.key: all claims would be exported to one object; use prefix, with {{.Claim}} or {{.Run}} in it"
// +kubebuilder:validation:XValidation:rule="!has(self.template.destination.prefix) || self.template.destination.prefix.contains('{{.Claim}}') || self.template.destination.prefix.contains('{{.Run}}')",message="template.destination.prefix: all claims would be exported to one place, and overwrite each other's objects; add {{.Claim}} or {{.Run}}, or leave prefix out"
// +kubebuilder:validation:XValidation:rule="!has(self.onDelete) || !self.onDelete || !has(self.template.destination.prefix) || self.template.destination.prefix.contains('{{.Run}}')",message="template.destination.prefix: with onDelete, a later claim of the same name would overwrite what is left of one that was deleted; add {{.Run}}, or leave prefix out"
// +kubebuilder:validation:XValidation:rule="!has(self.pruneData) || !self.pruneData || !has(self.template.destination.prefix) || self.template.destination.prefix.contains('{{.Run}}')",message="template.destination.prefix: with pruneData each run needs a prefix of its own; add {{.Run}}, or leave prefix out; in a prefix that runs share use template.deleteExtra"
// +kubebuilder:validation:XValidation:rule="!has(self.pruneData) || !self.pruneData || !has(self.template.ttlSecondsAfterFinished)",message="template.ttlSecondsAfterFinished: with pruneData an S3Export goes after its objects; one that goes by itself leaves them for ever; remove one of them"
// +kubebuilder:validation:XValidation:rule="self.concurrencyPolicy != 'Allow' || !has(self.template.destination.prefix) || self.template.destination.prefix.contains('{{.Run}}')",message="concurrencyPolicy: with Allow two runs may write at once, so each needs a prefix of its own; add {{.Run}} to template.destination.prefix, or use Forbid"
type S3ExportPolicySpec struct {
	// ClaimSelector selects claims of this namespace by their labels; {} selects all of them.
	// +required
	ClaimSelector metav1.LabelSelector `json:"claimSelector"`

	// Schedule is when runs begin, as in a CronJob: five fields (minute, hour, day of month, month, day of
	// week), such as "0 3 * * *", or @hourly, @daily, @weekly, @monthly, @yearly, or @every 6h. Without it runs
	// begin only for onDelete.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.contains('TZ')",message="schedule: names a time zone; write it to timeZone"
	// +kubebuilder:validation:XValidation:rule="self.startsWith('@') || self.matches('^ *[^ ]+( +[^ ]+){4} *$')",message="schedule: five fields (minute, hour, day of month, month, day of week), such as 0 3 * * *, or @daily and the like"
	Schedule string `json:"schedule,omitempty"`

	// OnDelete keeps each selected claim that is deleted until all of its volume was exported to the template's
	// destination, as the annotation s3populator.io/export-on-delete does. Where a claim has that, its own
	// annotations say where to; of several policies the oldest does. Suspend does not concern it.
	// +optional
	OnDelete bool `json:"onDelete,omitempty"`

	// TimeZone of the schedule, a name of the IANA database such as Europe/Berlin; empty is UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// StartingDeadlineSeconds is how long after its time a run may still begin, for example because no
	// manager was there; without it, at any time. Of several runs that were missed one is made up for. It is at least
	// 10, because a run begins some moments after its time: with less, every one could be missed.
	// +optional
	// +kubebuilder:validation:Minimum=10
	StartingDeadlineSeconds *int64 `json:"startingDeadlineSeconds,omitempty"`

	// ConcurrencyPolicy is what happens to a claim whose run before has not ended: Forbid lets it end first;
	// Replace deletes it first; then the next begins, if it is not too late. Allow begins another one beside it.
	// +optional
	// +kubebuilder:default=Forbid
	// +kubebuilder:validation:Enum=Allow;Forbid;Replace
	ConcurrencyPolicy ConcurrencyPolicy `json:"concurrencyPolicy,omitempty"`

	// Keep is how many complete S3Exports of each claim stay, and how many failed ones since. What
	// those that go have exported stays in S3, unless pruneData is true.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Keep int32 `json:"keep,omitempty"`

	// PruneData also removes from S3 what the complete S3Exports that go have exported: of the objects that such a
	// run's manifest lists those that are as it wrote them and that no other manifest lists. Nothing is removed
	// before the manifests of the runs that stay were read, and every object of the newest was found. What failed runs
	// have left stays. A run that an S3Source of any namespace names, has found by fromExport, or reads by a prefix, stays
	// as long as that. Runs of another path, include or exclude are counted apart. Each run needs a prefix of its own,
	// with {{.Run}} in it. What was exported for onDelete is never removed.
	// +optional
	PruneData bool `json:"pruneData,omitempty"`

	// Suspend begins no further runs of the schedule; those that have begun go on.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// Template of the S3Exports.
	// +required
	Template S3ExportTemplate `json:"template"`
}

// ConcurrencyPolicy is Allow, Forbid or Replace.
type ConcurrencyPolicy string

// S3ExportPolicyStatus is what the policy did so far.
type S3ExportPolicyStatus struct {
	// ObservedGeneration is the generation of the policy that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Claims that are selected, also those with volumeMode Block, which are not exported.
	// +optional
	Claims int32 `json:"claims"`
	// Active S3Exports of this policy: those that have not ended.
	// +optional
	Active int32 `json:"active"`
	// LastScheduleTime is the tick that runs were last made for. No earlier one is made up for.
	// +optional
	LastScheduleTime *metav1.Time `json:"lastScheduleTime,omitempty"`
	// NextScheduleTime is the tick after it.
	// +optional
	NextScheduleTime *metav1.Time `json:"nextScheduleTime,omitempty"`
	// LastSuccessfulTime is when an S3Export of this policy was last complete.
	// +optional
	LastSuccessfulTime *metav1.Time `json:"lastSuccessfulTime,omitempty"`
	// Waiting claims have no run for lastScheduleTime yet: their run before has not ended, or the API server
	// refused the S3Export.
	// +optional
	// +listType=atomic
	Waiting []string `json:"waiting,omitempty"`
	// Conditions are Ready, and Stalled while the spec cannot be followed.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
