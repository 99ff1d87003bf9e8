// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
)

// A mover that succeeded may be collected before the manager looks. Its report is lost then,
// the data is not: another mover compares it, fetches nothing, and the claim is bound. It is
// not parallel, because no manager looks meanwhile.
func TestMoverCollected(t *testing.T) {
	s := story.Begin(t, world)
	bucket := s.Bucket(story.VersityGW).Put(map[string][]byte{
		"one.bin": story.Bytes(1, 2*story.MiB), "two.bin": story.Bytes(2, 2*story.MiB),
	})
	proxy, nobodyLooks := s.Proxy(bucket), make(chan struct{})
	s.Source("source", bucket, through(proxy), func(o *v1alpha1.S3Source) { o.Spec.Transfer.Engine = "MC" })
	proxy.Misbehave(story.Fault{Of: ofObject("two.bin"), Do: story.Until(nobodyLooks)})
	claim := s.Claim(story.Claim{Source: "source"})
	mover := s.Mover(claim, "mc")
	s.ScaleManager(0) // However long that takes, the mover has not succeeded before.
	defer s.ScaleManager(2)
	proxy.Behave()
	close(nobodyLooks)
	s.Await("the mover to succeed", func() error {
		if err := s.Find(mover); err != nil {
			return err
		}
		if mover.Status.Phase != corev1.PodSucceeded {
			return errors.New(string(mover.Status.Phase))
		}
		return nil
	})
	s.Delete(mover)
	s.Gone(mover)
	before := proxy.Fetched()
	s.ScaleManager(2)
	s.Populated(claim, bucket.Under(""))
	if again := proxy.Fetched() - before; again != 0 || before == 0 {
		t.Errorf("the first mover fetched %d bytes, and the second %d of what was there", before, again)
	}
	if told := s.Report(claim).FetchedBytes; told != 0 {
		t.Errorf("the second mover tells that it fetched %d bytes", told)
	}
}
