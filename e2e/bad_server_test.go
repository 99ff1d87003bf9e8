// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// A server that throttles, breaks off, or ends answers half-way costs time, never data.
func TestServerMisbehaves(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{ // S3 clients try again by themselves, more or less often.
		string(wire.Throttled),
		string(wire.TransferFailed),
		string(wire.EndpointUnreachable),
		string(wire.VerificationFailed),
	}
	bucket := s.Bucket(story.MinIO).Put(story.Small("", 10)).Put(map[string][]byte{"big.bin": story.Bytes(1, 2*story.MiB)})
	faults := map[string]story.Fault{
		"throttled": {Of: story.Fetches, Times: 3, Do: story.SlowDown},
		"reset":     {Of: story.Fetches, Times: 2, Do: story.Reset},
		"cut":       {Of: ofObject("big.bin"), Times: 1, Do: story.Cut},
		"unlisted":  {Of: story.Lists, Times: 1, Do: story.Reset},
	}
	for name, m := range faults {
		proxy := s.Proxy(bucket)
		s.Source(name, bucket, through(proxy), func(o *v1alpha1.S3Source) {
			o.Annotations = map[string]string{v1alpha1.AnnotationInventory: v1alpha1.InventorySkip} // or it would suffer instead
		})
		done := proxy.Misbehave(m)
		claim := s.Claim(story.Claim{Name: name, Source: name})
		s.Populated(claim, bucket.Under(""))
		if proxy.Suffered(done) == 0 {
			t.Errorf("%s: no request suffered", name)
		}
	}
}

// A server that says nothing more is given up at the deadline of an attempt; the next one
// gets everything.
func TestServerStalls(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.MayWarn = []string{string(wire.Interrupted), string(wire.TransferFailed)} // whoever notices the deadline first
	bucket := s.Bucket(
		story.MinIO,
	).Put(
		map[string][]byte{"a.bin": story.Bytes(1, story.MiB), "b.bin": story.Bytes(2, story.MiB)},
	)
	proxy := s.Proxy(bucket)
	proxy.Misbehave(story.Fault{Of: ofObject("b.bin"), Times: 1, Do: story.Stall})
	s.Source("source", bucket, through(proxy), func(o *v1alpha1.S3Source) {
		o.Spec.Retries.AttemptTimeout = &metav1.Duration{Duration: 30 * time.Second} // Its pod starts in it.
	})
	claim := s.Claim(story.Claim{Source: "source"})
	s.Populated(claim, bucket.Under(""))
	if run := s.Import(claim); run.Status.Attempts < 2 {
		t.Errorf("%d attempt was enough: nothing stalled", run.Status.Attempts)
	}
}

// An object that changes, and one that disappears, between the listing and the moment at which they
// are read are noticed: the next attempt takes the source as it is then.
func TestSourceChanges(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	s.Warnings = []string{string(wire.SourceChanged)}
	data := map[string][]byte{}
	for i := range 12 {
		data[fmt.Sprintf("part-%02d.bin", i)] = story.Bytes(uint64(i)+1, 512*story.KiB)
	}
	const key = "part-04.bin"
	for name, fault := range map[string]func(*story.Bucket) story.Fault{
		"overwritten": func(b *story.Bucket) story.Fault {
			return b.OverwrittenBy(ofObject(key), key, story.Bytes(99, 512*story.KiB))
		},
		"removed": func(b *story.Bucket) story.Fault { return b.RemovedBy(ofObject(key), key) },
	} {
		bucket := s.Bucket(story.MinIO).Put(data)
		proxy := s.Proxy(bucket)
		proxy.Misbehave(fault(bucket))
		s.Source(name, bucket, through(proxy), func(o *v1alpha1.S3Source) {
			o.Annotations = map[string]string{v1alpha1.AnnotationInventory: v1alpha1.InventorySkip}
		})
		claim := s.Claim(story.Claim{Name: name, Source: name})
		s.Recovered(name)
		s.AssertContent(s.Reader(claim), bucket.Under(""))
		s.WaitForEvent(claim, string(wire.SourceChanged), "")
	}
}

// ofObject selects fetches of one object.
func ofObject(key string) func(*http.Request) bool {
	return func(r *http.Request) bool { return story.Fetches(r) && strings.HasSuffix(r.URL.Path, "/"+key) }
}
