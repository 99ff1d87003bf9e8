// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// shardVariable is the environment of a pod of a Job; of another pod where the shard is empty.
func shardVariable(shard string) func(string) string {
	return func(name string) string {
		if name == wire.ShardVariable {
			return shard
		}
		return ""
	}
}

// plan makes a plan for some shards, which is what the steps after it follow.
func (b *bench) plan(shards int) wire.Report {
	b.t.Helper()
	b.request.Export.Step, b.request.Export.Shards, b.request.Export.Plan = wire.StepPlan, shards, ""
	r := b.mustBeDone(b.run())
	if r.Plan == "" || r.Shards < 2 {
		b.t.Fatalf("the report is %+v, want a plan of shards", r)
	}
	b.request.Export.Shards, b.request.Export.Plan = 0, r.Plan
	return r
}

func (b *bench) toShard(i int) {
	b.request.Export.Step, b.options.Getenv = wire.StepShard, shardVariable(strconv.Itoa(i))
}

func (b *bench) shard(i int) wire.Report {
	b.t.Helper()
	b.toShard(i)
	return b.run()
}

func (b *bench) toFinish() {
	b.request.Export.Step, b.options.Getenv = wire.StepFinish, shardVariable("")
}

func (b *bench) finishShards() wire.Report {
	b.t.Helper()
	b.toFinish()
	return b.run()
}

// many fills a volume with what is worth some shards.
func (b *bench) many(n int) {
	b.t.Helper()
	for i := range n {
		b.file(filepath.Join("many", string(rune('a'+i%7)), strconv.Itoa(i)), strconv.Itoa(i))
	}
}

// manifestOf is the one below a prefix.
func (s *s3server) manifestOf(t *testing.T, prefix string) manifest.Manifest {
	t.Helper()
	m, err := manifest.Read(strings.NewReader(s.object(t, prefix+manifest.Key)))
	mustDo(t, err)
	return m
}

// What shards make of a volume is what one mover makes of it.
func TestAnExportInShardsIsTheSame(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		b := newExport(t, s.endpoint)
		b.odd()
		b.many(100)
		whole := b.mustBeDone(b.run())
		one := s.manifestOf(t, "runs/1/")

		b.request.Source.Prefix, b.request.Export.Run = "runs/2/", "run-2"
		planned := b.plan(8)
		sent := map[string]int{}
		for i := range int(planned.Shards) {
			r := b.mustBeDone(b.shard(i))
			if r.Objects == 0 || r.SentObjects != r.Objects || s.has(t, "runs/2/"+manifest.Key) {
				t.Errorf("shard %d has reported %+v", i, r)
			}
			for _, key := range s.keys(t, "runs/2/") {
				if !strings.HasPrefix(key, wire.JournalDir) && sent[key] == 0 {
					sent[key] = i + 1
				}
			}
		}
		r := b.mustBeDone(b.finishShards())
		many := s.manifestOf(t, "runs/2/")
		if diff := cmp.Diff(one, many, cmpopts.IgnoreFields(manifest.Header{}, "Run", "Created")); diff != "" {
			t.Errorf("the manifests differ (-one mover +shards):\n%s", diff)
		}
		ignored := cmpopts.IgnoreFields(wire.Report{}, "Seconds")
		if diff := cmp.Diff(whole, r, ignored); diff != "" {
			t.Errorf("the reports differ (-one mover +shards):\n%s", diff)
		}
		if len(sent) != int(r.Objects) || planned.Objects != r.Objects || planned.Bytes != r.Bytes {
			t.Errorf("shards have sent %d files, the plan was of %+v, the report is %+v", len(sent), planned, r)
		}
		if diff := cmp.Diff([]string{"manifest.json"}, s.keys(t, "runs/2/.s3populator/")); diff != "" {
			t.Errorf("left are (-want +got):\n%s", diff)
		}
		// The report of the last step may be lost: the run is complete, whatever is asked for.
		b.mustBeDone(b.finishShards())
		b.request.Export.Step, b.request.Export.Shards = wire.StepPlan, 8
		if r := b.mustBeDone(b.run()); r.Plan != "" || r.ManifestDigest != many.Digest {
			t.Errorf("the report is %+v", r)
		}
	})
}

// has tells that there is an object.
func (s *s3server) has(t *testing.T, key string) bool {
	t.Helper()
	return slices.Contains(s.keys(t, key), "")
}

// What is no work for two is done at once: a run that finds nothing changed needs no Job.
func TestWhatIsNoWorkForTwoIsExportedAtOnce(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(200)
	b.settle()
	planned := b.plan(4)
	for i := range int(planned.Shards) {
		b.mustBeDone(b.shard(i))
	}
	b.mustBeDone(b.finishShards())
	b.file("many/a/0", "changed")
	b.request.Export = wire.ExportOptions{Run: "run-2", Step: wire.StepPlan, Shards: 4}
	if r := b.mustBeDone(b.run()); r.Plan != "" || r.UnchangedObjects != 199 || r.SentObjects != 1 {
		t.Errorf("the report is %+v", r)
	}
	if m := s.manifestOf(t, "runs/1/"); m.Run != "run-2" || len(m.Entries) != 208 {
		t.Errorf("the manifest is of %s, with %d entries", m.Run, len(m.Entries))
	}
}

// A run in a prefix that is used again leaves what has not changed, and deletes what is gone, as one mover does.
func TestShardsBelowAUsedPrefix(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(200)
	b.file("gone", "gone")
	b.file("a", "a file that becomes a directory")
	b.settle()
	b.mustBeDone(b.run())
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "gone")))
	mustDo(t, os.Remove(filepath.Join(b.paths.Volume, "a")))
	b.file("a/b", "below")
	for i := range 120 {
		b.file(filepath.Join("new", strconv.Itoa(i)), strconv.Itoa(i))
	}
	b.request.Export = wire.ExportOptions{Run: "run-2", DeleteExtra: true}
	planned := b.plan(4)
	if s.has(t, "runs/1/"+manifest.Key) || !s.has(t, "runs/1/"+manifest.PreviousKey) || s.has(t, "runs/1/a") {
		t.Error("the manifest of the run before is not aside, or what is in the way is still there")
	}
	for i := range int(planned.Shards) {
		b.mustBeDone(b.shard(i))
	}
	if r := b.mustBeDone(b.finishShards()); r.UnchangedObjects != 200 || r.SentObjects != 121 || r.DeletedObjects != 2 {
		t.Errorf("the report is %+v", r)
	}
	if m := s.manifestOf(t, "runs/1/"); m.Run != "run-2" || s.has(t, "runs/1/gone") {
		t.Errorf("the manifest is of %s", m.Run)
	}
}
