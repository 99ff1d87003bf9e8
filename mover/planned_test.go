// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
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
