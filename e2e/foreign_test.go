// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/e2e/story"
)

// A claim that names no source is none of our business: it is provisioned as ever, and
// the manager writes nothing about it.
func TestForeignClaim(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Untouched = true
	claim := s.Claim(story.Claim{})
	s.Await("the plain claim to be bound", func() error {
		now := &corev1.PersistentVolumeClaim{}
		if err := world.Client.Get(t.Context(), client.ObjectKeyFromObject(claim), now); err != nil {
			return err
		}
		if now.Status.Phase != corev1.ClaimBound {
			return errors.New(string(now.Status.Phase))
		}
		if len(now.Status.Conditions) > 0 {
			t.Errorf("it has conditions: %+v", now.Status.Conditions)
		}
		return nil
	})
	s.AssertContent(s.Reader(claim), story.Content{})
	s.UntouchedByManager()
}
