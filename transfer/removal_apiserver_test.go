// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// TestRemovalThatIsRefused: what a run that is over cannot remove is told on it, by the next run to the same place, and
// not any more when it is gone.
func TestRemovalThatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.bound(t, "data")
	w.bound(t, "other")
	w.exporter(t)
	first := w.toOnePlace(t, "first", "data", v1alpha1.ConsistencyClone)
	copied := &corev1.PersistentVolumeClaim{}
	w.await(t, "the temporary claim", func() error {
		name := protocol.TemporaryName(first.UID)
		return w.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, copied)
	})
	refusal := w.keepTemporaries(t)
	w.await(t, "the policy to be known", func() error {
		if err := w.Delete(t.Context(), copied, client.DryRunAll); err == nil || !strings.Contains(err.Error(), "not today") {
			return fmt.Errorf("a deletion is answered by %w", err)
		}
		return nil
	})
	second := w.toOnePlace(t, "second", "other", v1alpha1.ConsistencyLive)
	// The claim goes, and its run is over.
	if err := w.Delete(t.Context(), claim("data", nil)); err != nil {
		t.Fatal(err)
	}
	w.await(t, "the run to tell what it cannot remove", func() error {
		err := w.Get(t.Context(), client.ObjectKeyFromObject(first), first)
		c := meta.FindStatusCondition(first.Status.Conditions, v1alpha1.ConditionRemovalPending)
		if err != nil || !protocol.Over(first) || c == nil || c.Status != metav1.ConditionTrue ||
			!strings.Contains(c.Message, "delete claim "+copied.Name) || !strings.Contains(c.Message, "not today") {
			return fmt.Errorf("the status is %+v, %w", first.Status, err)
		}
		return nil
	})
	w.await(t, "an event of it", w.event(t, "first", v1alpha1.ReasonRemovalRefused))
	woken := 0
	w.await(t, "the next run to tell what it waits for", func() error {
		woken++
		w.annotate(t, "other", "annotations", fmt.Sprintf(`{"wake":"%d"}`, woken))
		err := w.Get(t.Context(), client.ObjectKeyFromObject(second), second)
		c := meta.FindStatusCondition(second.Status.Conditions, v1alpha1.ConditionComplete)
		if err != nil || c == nil || c.Reason != string(v1alpha1.ReasonDestinationInUse) ||
			!strings.Contains(c.Message, "first has the same destination and is over") ||
			!strings.Contains(c.Message, "not today") {
			return fmt.Errorf("it says %+v, %w", c, err)
		}
		return nil
	})
	if err := w.Delete(t.Context(), refusal); err != nil {
		t.Fatal(err)
	}
	w.await(t, "the temporary claim to go", func() error {
		woken++
		w.annotate(t, "data", "annotations", fmt.Sprintf(`{"wake":"%d"}`, woken))
		err := w.Get(t.Context(), client.ObjectKeyFromObject(first), first)
		if err != nil || protocol.Guarded(first) ||
			meta.FindStatusCondition(first.Status.Conditions, v1alpha1.ConditionRemovalPending) != nil {
			return fmt.Errorf("it has finalizers %v, conditions %+v, %w", first.Finalizers, first.Status.Conditions, err)
		}
		err = w.Get(t.Context(), client.ObjectKeyFromObject(copied), copied)
		if err == nil && copied.DeletionTimestamp == nil {
			err = errors.New("it was not told to go")
		}
		return client.IgnoreNotFound(err)
	})
}

// toOnePlace makes an export whose prefix is that of all others.
func (w *world) toOnePlace(t *testing.T, name, claim string, c v1alpha1.Consistency) *v1alpha1.S3Export {
	t.Helper()
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	e.Spec.ClaimName, e.Spec.Consistency = claim, c
	e.Spec.Destination.Region, e.Spec.Destination.Bucket, e.Spec.Destination.Prefix = "x", "backups", "nightly/"
	w.create(t, e)
	return e
}

// keepTemporaries refuses to delete temporary claims, until what it returns is deleted.
func (w *world) keepTemporaries(t *testing.T) client.Object {
	t.Helper()
	p := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "keep"}}
	p.Spec.FailurePolicy = new(admissionv1.Fail)
	p.Spec.MatchConstraints = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Delete},
			Rule: admissionv1.Rule{
				APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"persistentvolumeclaims"},
			},
		},
	}}}
	p.Spec.Validations = []admissionv1.Validation{{
		Expression: "!oldObject.metadata.name.startsWith('" + protocol.TemporaryPrefix + "')", Message: "not today",
	}}
	b := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "keep"}}
	b.Spec.PolicyName, b.Spec.ValidationActions = "keep", []admissionv1.ValidationAction{admissionv1.Deny}
	w.create(t, p)
	w.create(t, b)
	return b
}

// event tells whether an object has one with a reason.
func (w *world) event(t *testing.T, name string, reason v1alpha1.Reason) func() error {
	return func() error {
		var all eventsv1.EventList
		if err := w.List(t.Context(), &all, client.InNamespace("default")); err != nil {
			return err
		}
		var others []string
		for _, e := range all.Items {
			if e.Regarding.Name == name && e.Reason == string(reason) && e.Type == corev1.EventTypeWarning {
				return nil
			}
			others = append(others, e.Regarding.Name+": "+e.Reason)
		}
		return fmt.Errorf("there are events %q", others)
	}
}
