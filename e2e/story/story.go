// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Story is one test: a namespace that nobody else touches, and everything in it. Its
// methods fail the test with how things stood, so they belong to the test's goroutine.
type Story struct {
	T         *testing.T
	World     *World
	Namespace string
	// Warnings are reasons of Warning events that this story provokes: each must come. MayWarn
	// are those that depend on who is faster. Any other from the manager fails the story.
	Warnings, MayWarn []string
	// Untouched tells that nothing of ours may happen here. Anywhere else something must.
	Untouched bool

	buckets int
	last    []func() // what goes when everything else of the story is gone
}

// patience is how long anything may take. It is generous: a machine of two cores runs
// several stories at once, and only a failure waits for it.
const patience = 5 * time.Minute

var notForNames = regexp.MustCompile(`[^a-z0-9]+`)

// Begin makes the namespace, with the strictest pod security enforced. When the test
// ends, everything in it is deleted, and whatever is then left fails the test.
func Begin(t *testing.T, w *World) *Story {
	t.Helper()
	suffix := make([]byte, 2)
	_, _ = rand.Read(suffix) // never fails
	name := strings.Trim(notForNames.ReplaceAllString(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "-"), "-")
	s := &Story{T: t, World: w, Namespace: name[:min(len(name), 40)] + "-" + hex.EncodeToString(suffix)}
	t.Cleanup(func() {
		for _, end := range s.last {
			end()
		}
	})
	t.Cleanup(s.end)
	s.Create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace, Labels: map[string]string{
		"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
		storyLabel: "true",
	}}})
	// Pods are refused without it, but for a second in which the API server waits by itself.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "default"}}
	s.Await("the namespace to have its ServiceAccount", func() error { return s.Find(account) })
	return s
}

// storyLabel marks the namespaces of stories.
const storyLabel = "e2e/story"

// Create makes an object.
func (s *Story) Create(o client.Object) {
	s.T.Helper()
	if err := s.World.Client.Create(s.T.Context(), o); err != nil {
		s.T.Fatalf("create %T %s: %v", o, o.GetName(), err)
	}
}

// Update changes an object as it is now.
func Update[T client.Object](s *Story, o T, change func(T)) {
	s.T.Helper()
	for {
		if err := s.World.Client.Get(s.T.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			s.T.Fatalf("read %T %s: %v", o, o.GetName(), err)
		}
		change(o)
		err := s.World.Client.Update(s.T.Context(), o)
		if err == nil {
			return
		}
		if !apierrors.IsConflict(err) {
			s.T.Fatalf("update %T %s: %v", o, o.GetName(), err)
		}
	}
}

// Delete begins to delete an object.
func (s *Story) Delete(o client.Object) {
	s.T.Helper()
	if err := s.World.Client.Delete(s.T.Context(), o); err != nil {
		s.T.Fatalf("delete %T %s: %v", o, o.GetName(), err)
	}
}

// Await waits until the condition is no error, and fails with the last one.
func (s *Story) Await(what string, condition func() error) {
	s.T.Helper()
	ctx, cancel := context.WithTimeout(s.T.Context(), patience)
	defer cancel()
	began := time.Now()
	if err := await(ctx, s.World.Seen.Changed, condition); err != nil {
		s.T.Fatalf("waited %s for %s: %v", time.Since(began).Round(time.Second), what, err)
	}
}

func (s *Story) must(what string, err error) {
	if err != nil {
		s.T.Helper()
		s.T.Fatalf("%s: %v", what, err)
	}
}
