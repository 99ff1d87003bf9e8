// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// healing is how long a replica that is busy, or has just become the leader, may take. At rest it is a second.
const healing = time.Minute

// The manager changes its authority, twice, and expiring certificates on both replicas, and is
// itself replaced twice for the arguments that make it do so within seconds; nobody is
// refused meanwhile.
func TestCertificatesRotate(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	reviews := world.Reviews(t.Context(), s.Namespace)
	defer reviews.End()
	undo, err := world.ManagerArgs(t.Context(), "--ca-duration=90s", "--leaf-duration=30s")
	if undo != nil {
		defer func() { // not a cleanup: those run after the test's context has ended
			if err := undo(t.Context()); err != nil {
				t.Error(err)
			}
			s.NoneRefused(reviews)
		}()
	}
	if err != nil {
		t.Fatal(err)
	}
	secret, _, err := world.Authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Delete(secret) // The next authority is one that lives for seconds.
	seen := world.Rotation()
	s.Await("the certificates to rotate", func() error {
		if err := seen.Look(t.Context()); err != nil {
			t.Fatal(err)
		}
		return seen.Complete()
	})
}

// within tries until the condition is no error, for as long as healing may take.
func within(t *testing.T, what string, condition func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), healing)
	defer cancel()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s %s: %v", healing, what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// A deleted authority is replaced, and the old one trusted until nobody serves from it.
func TestAuthorityDeleted(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	reviews := world.Reviews(t.Context(), s.Namespace)
	defer reviews.End()
	secret, old, err := world.Authority(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Delete(secret)
	within(t, "the authority is not replaced", func(ctx context.Context) error {
		_, now, err := world.Authority(ctx)
		if err != nil || bytes.Equal(now, old) {
			return errors.Join(errors.New("there is no new authority"), err)
		}
		_, bundle, err := world.Bundle(ctx)
		if err != nil || !bytes.Contains(bundle, now) || !bytes.Contains(bundle, old) {
			return errors.Join(errors.New("the webhook does not trust both authorities"), err)
		}
		return nil
	})
	s.NoneRefused(reviews)
}

// What somebody writes over the webhook's trust is put right.
func TestBundleOverwritten(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	configuration, _, err := world.Bundle(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The manager may still be writing what the story before this one has made it write.
	story.Update(s, configuration, func(c *admissionv1.MutatingWebhookConfiguration) {
		for i := range c.Webhooks {
			c.Webhooks[i].ClientConfig.CABundle = nil
		}
	})
	within(t, "the webhook's trust is not put right", func(ctx context.Context) error {
		_, bundle, err := world.Bundle(ctx)
		if err != nil || len(bundle) == 0 {
			return errors.Join(errors.New("the webhook trusts nobody"), err)
		}
		// Whom it trusts may be another than before, when an authority has been replaced. That it is called counts.
		claim := s.NewClaim(story.Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}})
		if err := world.Client.Create(ctx, claim, client.DryRunAll); err != nil || claim.Spec.DataSourceRef != nil {
			return err
		}
		return errors.New("the API server does not call the webhook")
	})
}

// Claims that have nothing to do with us cost the manager no request.
func TestUnrelatedClaims(t *testing.T) {
	s := story.Begin(t, world)
	s.Untouched = true
	reviewed := func() (n float64) {
		t.Helper()
		n, err := world.ReviewsServed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	create := func(c story.Claim) {
		t.Helper()
		if err := world.Client.Create(t.Context(), s.NewClaim(c), client.DryRunAll); err != nil {
			t.Fatal(err)
		}
	}
	before := reviewed()
	for range 10 {
		create(story.Claim{})
		create(
			story.Claim{
				Labels:      map[string]string{"app": "models"},
				Annotations: map[string]string{"example.com/s3populator.io": "no"},
			},
		)
	}
	if n := reviewed() - before; n != 0 {
		t.Errorf("the manager was asked %v times about claims that are not ours", n)
	}
	create(story.Claim{Annotations: map[string]string{v1alpha1.AnnotationSource: "source"}})
	if n := reviewed() - before; n < 1 {
		t.Error("the manager's count of reviews does not count")
	}
}
