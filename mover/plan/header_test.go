// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestSourceIdentity(t *testing.T) {
	base := wire.Request{Source: wire.Source{Bucket: "b", Prefix: "p"}}
	same := base
	same.Source.Prefix, same.Attempt, same.Source.Include = "p/", 7, []string{"*"}
	if SourceIdentity(base) != SourceIdentity(same) {
		t.Error("the same objects under the same paths have another identity")
	}
	for name, change := range map[string]func(*wire.Request){
		"bucket":      func(r *wire.Request) { r.Source.Bucket = "c" },
		"endpoint":    func(r *wire.Request) { r.Source.Endpoint = "http://x" },
		"prefix":      func(r *wire.Request) { r.Source.Prefix = "q" },
		"target":      func(r *wire.Request) { r.Volume.TargetPath = "t" },
		"verify":      func(r *wire.Request) { r.Transfer.Verify = "Size" },
		"object path": func(r *wire.Request) { r.Source.Objects = []wire.Object{{Key: "a", Path: "b"}} },
	} {
		r := base
		change(&r)
		if SourceIdentity(base) == SourceIdentity(r) {
			t.Errorf("another %s has the same identity", name)
		}
	}
}
