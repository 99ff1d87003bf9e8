// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

const emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"

// listed is what a test's S3 says about one object.
type listed struct {
	key  string
	size int64
	etag string
}

func planOf(t *testing.T, r wire.Request, objects ...listed) (*plan.Plan, error) {
	t.Helper()
	p, err := plan.NewPlanner(r)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.etag == "" {
			o.etag = `"` + emptyMD5 + `"`
		}
		p.Add(o.key, o.size, o.etag)
	}
	return p.Finish()
}

func mustFail(t *testing.T, err error, reason wire.Reason, texts ...string) {
	t.Helper()
	if fault.ReasonOf(err) != reason {
		t.Fatalf("error is %v (reason %q), want reason %q", err, fault.ReasonOf(err), reason)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("message lacks %q:\n%s", s, err)
		}
	}
}

// TestProverOfARequest: only in a directory bucket entity tags are no digests, whatever they look like.
func TestProverOfARequest(t *testing.T) {
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "a", size: 5})
	mustDo(t, err)
	s := new(source.Client)
	for bucket, opaque := range map[string]bool{
		"b--use1-az4--x-s3": true, "b": false, "b--use1-az4": false, "b--use1-az4--x-s3-b": false,
	} {
		for verify, bySize := range map[string]bool{"": false, "Checksum": false, proof.VerifySize: true} {
			r := wire.Request{Source: wire.Source{Bucket: bucket}, Transfer: wire.Transfer{Verify: verify}}
			got, want := *proverOf(r, s, p), proof.Prover{Asker: s, Plan: p, OpaqueTags: opaque, SizeOnly: bySize}
			if got != want {
				t.Errorf("of bucket %s, verified by %q: %+v, want %+v", bucket, verify, got, want)
			}
		}
	}
}
