// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// A manager that somebody starts while everything is released holds it again: that is no end.
func TestAManagerThatDoesNotStayStopped(t *testing.T) {
	for name, tt := range map[string]struct {
		does     func(t *testing.T, s *server) error
		says     string
		want     error
		replicas int32
	}{
		"its Deployment is scaled": {func(t *testing.T, s *server) error {
			t.Helper()
			d, err := Release{Client: s, Namespace: "system", Deployment: "manager"}.deployment(t.Context())
			if err != nil {
				return err
			}
			d.Spec.Replicas = new(int32(3))
			return s.Update(t.Context(), d)
		}, "3 replicas", errStarted, 3},
		"a pod of it is there": {func(t *testing.T, s *server) error {
			t.Helper()
			pod := &corev1.Pod{}
			pod.Namespace, pod.Name, pod.Labels = "system", "manager-2", map[string]string{"app": "manager"}
			return s.Create(t.Context(), pod)
		}, "pod manager-2", errStarted, 2},
		"a claim is held again": {func(t *testing.T, s *server) error {
			t.Helper()
			return holdIt(t, s)
		}, "claim ml/a", errStarted, 2},
		"a claim is held again and deleted": {func(t *testing.T, s *server) error {
			t.Helper()
			return errors.Join(holdIt(t, s), s.Delete(t.Context(), claim("a", false)))
		}, "claim ml/a", errUnsafe, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, claim("a", false, v1alpha1.FinalizerFinalExport), export("e", false))
			s.before("e", func() error { return tt.does(t, s) }) // The claim was let go before.
			out, err := s.run(t)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) || s.replicas(t) != tt.replicas ||
				!slices.Equal(s.held(t), []string{"a", "e"}) {
				t.Errorf("%v: held are %q, replicas %d\n%s", err, s.held(t), s.replicas(t), out)
			}
		})
	}
}

// holdIt is what a manager does with the claim.
func holdIt(t *testing.T, s *server) error {
	t.Helper()
	a := claim("a", false)
	if err := s.Get(t.Context(), client.ObjectKeyFromObject(a), a); err != nil {
		return err
	}
	a.Finalizers = append(a.Finalizers, v1alpha1.FinalizerFinalExport)
	return s.Update(t.Context(), a)
}
