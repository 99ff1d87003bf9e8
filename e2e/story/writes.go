// SPDX-License-Identifier: Apache-2.0

package story

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/moverpod"
)

// whose tells what an object of a name has to be for the manager to write to it.
type whose string

const (
	anybodys   whose = "anybody's"            // the kind is ours, or only ours to make
	primes     whose = "a claim of ours"      // controlled by a claim of ours, or with the volume or a copy for an export
	snapshots  whose = "an export's"          // with the name that follows from an S3Export which asks for a snapshot
	claims     whose = "a prime or a claim"   // with a dataSourceRef to us, annotations of a user to us, or an S3Export
	pods       whose = "a pod of ours"        // controlled by a claim, a prime or one of our kinds; or ending uploads
	volumes    whose = "a volume of ours"     // a prime's, where the invariants know what is late; or exported
	jobs       whose = "a Job of an S3Export" // by its name
	madeSource whose = "a source of a claim"  // controlled by the claim that described it
	system     whose = "the manager's own"    // in its namespace, or with its name
	selectors  whose = "a policy's"           // not of objects: what policies with onDelete select
)

// allowedWrites is everything that the manager may do to anything. The API server's audit log
// is held against it: what is not here, or not on such an object, breaks an invariant.
var allowedWrites = []struct {
	group, resource string
	verbs           []string
	on              whose
}{
	{"", "persistentvolumeclaims", []string{"create", "delete"}, primes},
	{"", "persistentvolumeclaims", []string{"patch"}, claims},
	{"", "persistentvolumeclaims/status", []string{"patch"}, claims},
	{"", "persistentvolumes", []string{"patch"}, volumes},
	{"", "pods", []string{"create", "delete", "patch"}, pods},
	{"batch", "jobs", []string{"create", "delete"}, jobs},
	{"snapshot.storage.k8s.io", "volumesnapshots", []string{"create", "delete"}, snapshots},
	{v1alpha1.Group, "s3imports", []string{"create", "delete"}, anybodys},
	{v1alpha1.Group, "s3imports/status", []string{"patch"}, anybodys},
	{v1alpha1.Group, "s3exportpolicies/status", []string{"patch"}, anybodys},
	{v1alpha1.Group, "s3exports", []string{"create", "patch", "delete"}, anybodys},
	{v1alpha1.Group, "s3exports/status", []string{"patch"}, anybodys},
	{v1alpha1.Group, "s3sources", []string{"create", "update"}, madeSource},
	{v1alpha1.Group, "s3sources/status", []string{"patch"}, anybodys},
	{"events.k8s.io", "events", []string{"create", "patch"}, anybodys},
	{"", "events", []string{"create", "patch"}, system}, // of the leader election
	{"coordination.k8s.io", "leases", []string{"create", "update", "patch"}, system},
	{"authentication.k8s.io", "tokenreviews", []string{"create"}, anybodys},
	{"authorization.k8s.io", "subjectaccessreviews", []string{"create"}, anybodys},
	{"populator.storage.k8s.io", "volumepopulators", []string{"create"}, anybodys},
	{"admissionregistration.k8s.io", "mutatingwebhookconfigurations", []string{"patch"}, system},
	{"", "secrets", []string{"create", "update"}, system},
}

// podOwners are the kinds that our pods belong to.
var podOwners = []string{
	"PersistentVolumeClaim", v1alpha1.KindS3Source, v1alpha1.KindS3Export, v1alpha1.KindS3Import,
}

// subjects are the objects that were seen, by what they are to the manager. The names of
// objects that are gone stay: a name that was ours is never a user's later.
type subjects map[whose]map[string]bool

func (s subjects) note(o metav1.Object) { //nolint:gocyclo // One case for each kind.
	key := o.GetNamespace() + "/" + o.GetName()
	add := func(w whose) {
		if s[w] == nil {
			s[w] = map[string]bool{}
		}
		s[w][key] = true
	}
	owner := metav1.GetControllerOf(o)
	switch o := o.(type) {
	case *corev1.PersistentVolumeClaim:
		if ownerClaim(o) != "" {
			add(primes)
			add(claims)
		}
		if o.Labels[v1alpha1.LabelRole] == v1alpha1.RoleFinalExport {
			add(primes)
		}
		if refersToUs(o) || annotatedByUser(o) || s.selects(o) {
			add(claims)
		}
	case *corev1.Pod:
		ending := owner == nil && o.Labels[v1alpha1.LabelRole] == v1alpha1.RoleAbort && !mayWrite(o)
		if ending || isShard(o) || owner != nil && slices.Contains(podOwners, owner.Kind) {
			add(pods)
		}
	case *corev1.PersistentVolume:
		if o.Annotations[v1alpha1.AnnotationFinalExport] != "" {
			add(volumes)
		}
	case *v1alpha1.S3Export:
		s.noteExport(o)
	case *v1alpha1.S3ExportPolicy:
		s.notePolicy(o)
	case *v1alpha1.S3Source:
		if owner != nil && owner.Kind == "PersistentVolumeClaim" {
			add(madeSource)
		}
	}
}

// noteExport: what is named by an S3Export, or after it.
func (s subjects) noteExport(o *v1alpha1.S3Export) {
	of := func(w whose, name string) {
		if s[w] == nil {
			s[w] = map[string]bool{}
		}
		s[w][o.Namespace+"/"+name] = true
	}
	of(claims, o.Spec.ClaimName)
	if o.Spec.Parallelism > 1 {
		of(jobs, moverpod.ExportName(string(o.UID)))
	}
	switch temporary := "s3export-" + string(o.UID); o.Spec.Consistency {
	case v1alpha1.ConsistencySnapshot:
		of(primes, temporary)
		of(snapshots, temporary)
	case v1alpha1.ConsistencyClone:
		of(primes, temporary)
	case v1alpha1.ConsistencyLive:
	}
}

// notePolicy remembers what is exported before it goes.
func (s subjects) notePolicy(o *v1alpha1.S3ExportPolicy) {
	if o.Spec.OnDelete {
		s[selectors] = withKey(s[selectors], o.Namespace+"/"+metav1.FormatLabelSelector(&o.Spec.ClaimSelector))
	}
}

// selects tells whether a policy of its namespace exports a claim before it goes. It was made before the claim was
// changed for that.
func (s subjects) selects(c *corev1.PersistentVolumeClaim) bool {
	for key := range s[selectors] {
		namespace, text, _ := strings.Cut(key, "/")
		selector, err := labels.Parse(text)
		if err == nil && namespace == c.Namespace && selector.Matches(labels.Set(c.Labels)) {
			return true
		}
	}
	return false
}

func withKey(all map[string]bool, key string) map[string]bool {
	if all == nil {
		all = map[string]bool{}
	}
	all[key] = true
	return all
}

// isShard tells a pod of the Job of an S3Export.
func isShard(pod *corev1.Pod) bool {
	owner, export := metav1.GetControllerOf(pod), pod.Labels[v1alpha1.LabelExportUID]
	return export != "" && owner != nil && owner.Kind == "Job" && owner.Name == moverpod.ExportName(export)
}

// annotatedByUser tells a claim that says something to the manager. What the manager wrote itself makes no
// claim one that it may write to, and neither does its condition.
func annotatedByUser(c *corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(c.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		if e.Manager == v1alpha1.FieldOwner || e.FieldsV1 == nil {
			return false
		}
		var owned struct {
			Metadata struct {
				Annotations map[string]any `json:"f:annotations"`
			} `json:"f:metadata"`
		}
		if json.Unmarshal(e.FieldsV1.GetRawBytes(), &owned) != nil {
			return false
		}
		for name := range owned.Metadata.Annotations {
			if strings.HasPrefix(name, "f:"+v1alpha1.Group+"/") {
				return true
			}
		}
		return false
	})
}

// judgeWrite tells what is wrong with a write of the manager; empty for nothing.
func (o *Observer) judgeWrite(r Request) string {
	for _, row := range allowedWrites {
		if row.group != r.Group || row.resource != r.Resource.Name || !slices.Contains(row.verbs, r.Verb) {
			continue
		}
		if !o.is(row.on, r) {
			return fmt.Sprintf(
				"the manager did %s %s %s/%s, which is not %s",
				r.Verb,
				r.Resource.Name,
				r.Namespace,
				r.Name,
				row.on,
			)
		}
		return ""
	}
	return fmt.Sprintf("the manager did %s %s %s/%s, which it never may", r.Verb, r.Resource.Name, r.Namespace, r.Name)
}

func (o *Observer) is(on whose, r Request) bool {
	switch on {
	case anybodys:
		return true
	case system:
		return r.Namespace == SystemNamespace || r.Namespace == "" && r.Name == ManagerName
	case volumes:
		v := o.invariants.volumes[r.Name]
		return v != nil && o.invariants.ofPrime(v, 0, ^revision(0)) || o.subjects[volumes]["/"+r.Name]
	default:
	}
	return o.subjects[on][r.Namespace+"/"+r.Name]
}

// judgeNewWrites reads what the audit log got since the last call, and keeps what is wrong.
// Objects may be seen a moment later than the writes on them, so what is wrong is asked again.
func (w *World) judgeNewWrites() error {
	if !w.audited {
		return nil
	}
	o := w.Seen
	o.mu.Lock()
	defer o.mu.Unlock()
	requests, end, err := w.requestsFrom(o.auditRead)
	if err != nil {
		return err
	}
	o.auditRead = end
	requests = slices.DeleteFunc(requests, func(r Request) bool { return !r.changedByManager() })
	for _, r := range requests {
		switch {
		case r.Resource.Name == "persistentvolumes":
			o.invariants.wrote(r.Name, r.stored)
		case r.Resource.Name == "persistentvolumeclaims" && r.Verb == "create":
			o.primes = append(o.primes, r.Namespace+"/"+r.Name)
		}
	}
	o.doubtful = slices.DeleteFunc(append(o.doubtful, requests...), func(r Request) bool {
		return o.judgeWrite(r) == ""
	})
	return nil
}

// wrongWrites are those on objects of a namespace, and where it is empty those on objects in none.
func (o *Observer) wrongWrites(namespace string) (all []string) {
	for _, r := range o.doubtful {
		if o.placeOf(r) == namespace {
			all = append(all, o.judgeWrite(r))
		}
	}
	return all
}

// placeOf is the namespace that a request is about: for a volume that of its claims.
func (o *Observer) placeOf(r Request) string {
	if v := o.invariants.volumes[r.Name]; r.Resource.Name == "persistentvolumes" && v != nil {
		return v.namespace
	}
	return r.Namespace
}
