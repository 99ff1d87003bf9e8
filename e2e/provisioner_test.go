// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/csi/fault"
	"github.com/s3populator/s3populator/e2e/story"
)

// A provisioner that fails, and one whose answer is lost, delay a claim; the claim tells the
// provisioner's own words meanwhile.
func TestProvisionerFails(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	fire := s.Disturb(fault.Rule{Method: fault.CreateVolume, Fail: codes.Internal, Message: "the array is on fire"})
	s.Disturb(fault.Rule{Method: fault.CreateVolume, Count: 1, Fail: codes.DeadlineExceeded, Lost: true})
	claim := s.Claim(story.Claim{Source: "source"})
	s.WaitForCondition(claim.Name, string(v1alpha1.ReasonProvisioning), "the array is on fire")
	s.Undisturb(fire)
	s.Populated(claim, bucket.Under(""))
	s.Calls(func(calls map[string]fault.Count) bool { return calls[fault.CreateVolume].Failed > 1 })
}

// A provisioner that has no room on the chosen node asks for another; the scheduler
// chooses again and the claim is filled.
func TestProvisionerReschedules(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(v1alpha1.ReasonRescheduling)}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 4))
	s.Source("source", bucket)
	s.Disturb(fault.Reschedule(1))
	claim := s.Claim(story.Claim{Source: "source", Class: story.LateDelete})
	reader := s.Reader(claim)
	s.Bound(claim.Name)
	s.AssertContent(reader, bucket.Under(""))
}
