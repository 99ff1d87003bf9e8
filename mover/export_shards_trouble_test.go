// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// Who may write below the prefix must not have us follow another plan, nor believe what no shard has done.
func TestAPlanOfAStranger(t *testing.T) {
	const dir = "runs/1/.s3populator/runs/run-1/"
	for name, tt := range map[string]struct {
		key    string
		change func(text string) string
	}{
		"a file is another shard's": {
			"plan.jsonl",
			func(s string) string { return strings.Replace(s, `"shard":1}`, `"shard":0}`, 1) },
		},
		"it is cut":            {"plan.jsonl", func(s string) string { return s[:len(s)/2] }},
		"it is empty":          {"plan.jsonl", func(string) string { return "" }},
		"it has one line more": {"plan.jsonl", func(s string) string { return s + "{}\n" }},
		"the mark of the run":  {"begun.json", func(string) string { return "x" }},
		"the end of another run": {"../../manifest.json", func(string) string {
			return `{"schemaVersion":1,"run":"x","claim":"y","created":"2026-01-01T00:00:00Z","digest":"sha256:x","entries":[]}`
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.many(100)
			planned := b.plan(4)
			b.mustBeDone(b.shard(0))
			before := ""
			if !strings.HasPrefix(tt.key, "..") {
				before = s.object(t, dir+tt.key)
			}
			s.put(t, filepath.Join(dir, tt.key), []byte(tt.change(before)))
			keys := s.keys(t, "runs/1/many/")
			for _, r := range []wire.Report{b.shard(1), b.finishShards()} {
				if r.Class != wire.Retry || r.Reason != wire.VerificationFailed {
					t.Errorf("the report is %+v, want %s", r, wire.VerificationFailed)
				}
			}
			if diff := cmp.Diff(keys, s.keys(t, "runs/1/many/")); diff != "" {
				t.Errorf("something was sent:\n%s", diff)
			}
			// The next attempt makes a plan that holds.
			b.request.Export.Step, b.request.Export.Shards, b.request.Export.Plan = wire.StepPlan, 4, planned.Plan
			r := b.mustBeDone(b.run())
			if r.Plan == planned.Plan {
				t.Fatal("the plan was kept")
			}
			b.request.Export.Shards, b.request.Export.Plan = 0, r.Plan
			for i := range int(r.Shards) {
				b.mustBeDone(b.shard(i))
			}
			b.mustBeDone(b.finishShards())
		})
	}
}

// A plan that holds is kept, and what was sent by it is not read again.
func TestAPlanIsKept(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	planned := b.plan(4)
	b.mustBeDone(b.shard(0))
	b.request.Export.Step, b.request.Export.Shards = wire.StepPlan, 4
	r := b.mustBeDone(b.run())
	if r.Plan != planned.Plan || r.Shards != planned.Shards || r.Objects != planned.Objects {
		t.Errorf("the report is %+v, the one before was %+v", r, planned)
	}
	b.request.Export.Shards = 0
	mustDo(t, os.RemoveAll(filepath.Join(b.paths.Volume, "many"))) // Nobody needs them any more.
	if r := b.mustBeDone(b.shard(0)); r.Objects == 0 {
		t.Errorf("the report is %+v", r)
	}
	// On another copy of the claim, files are those of another moment.
	b.request.Volume.Temporary, b.request.Volume.AsOf = "copy-2", time.Now()
	if r := b.shard(0); r.Reason != wire.VerificationFailed || !strings.Contains(r.Message, "another volume") {
		t.Errorf("the report is %+v", r)
	}
}

// A plan of a volume in use is not followed by an attempt of another day: what was made since is in no shard. A copy
// of the volume stands still.
func TestAPlanThatIsOld(t *testing.T) {
	for name, tt := range map[string]struct {
		age  time.Duration
		copy string
		kept bool
	}{
		"a while ago":            {50 * time.Minute, "", true},
		"of another day":         {24 * time.Hour, "", false},
		"of tomorrow":            {-time.Hour, "", false},
		"of a copy, another day": {24 * time.Hour, "copy-1", true},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.many(100)
			if b.request.Volume.Temporary = tt.copy; tt.copy != "" {
				b.request.Volume.AsOf = time.Now()
			}
			b.plan(4)
			const at = "runs/1/.s3populator/runs/run-1/plan.jsonl"
			was := regexp.MustCompile(`"begin":"[^"]*"`)
			text := was.ReplaceAllString(s.object(t, at), `"begin":"`+time.Now().Add(-tt.age).UTC().Format(time.RFC3339)+`"`)
			s.put(t, at, []byte(text))
			sum := sha256.Sum256([]byte(text))
			old := "sha256:" + hex.EncodeToString(sum[:])
			b.file("new", "made since")
			b.request.Export.Step, b.request.Export.Shards, b.request.Export.Plan = wire.StepPlan, 4, old
			r := b.mustBeDone(b.run())
			if kept := r.Plan == old; kept != tt.kept {
				t.Fatalf("the plan is kept: %v, the report is %+v", kept, r)
			}
			b.request.Export.Shards, b.request.Export.Plan = 0, r.Plan
			for i := range int(r.Shards) {
				b.mustBeDone(b.shard(i))
			}
			b.mustBeDone(b.finishShards())
			if got := s.has(t, "runs/1/new"); got == tt.kept {
				t.Errorf("what was made since is in S3: %v", got)
			}
		})
	}
}

// The end waits for each shard, and takes no word of a shard that is not about the files of the plan.
func TestTheEndWantsEveryShard(t *testing.T) {
	const at = "runs/1/.s3populator/runs/run-1/part-1.json"
	for name, change := range map[string]func(s *s3server, t *testing.T, text string) string{
		"none": nil,
		"of another plan": func(_ *s3server, _ *testing.T, s string) string {
			return strings.Replace(s, "sha256:", "sha256:0", 1)
		},
		"of another shard": func(s *s3server, t *testing.T, _ string) string {
			return s.object(t, "runs/1/.s3populator/runs/run-1/part-0.json")
		},
		"a file is left out": func(_ *s3server, _ *testing.T, s string) string {
			from := strings.Index(s, `{"path"`)
			return s[:from] + s[strings.Index(s[from+1:], `{"path"`)+from+1:]
		},
		"a file twice": func(_ *s3server, _ *testing.T, s string) string {
			from := strings.Index(s, `{"path"`)
			return s[:from] + s[from:strings.Index(s[from+1:], `{"path"`)+from+1] + s[from:]
		},
		"a file more": func(_ *s3server, _ *testing.T, s string) string {
			return strings.Replace(s, `"entries":[`, `"entries":[{"path":"foreign","type":"file"},`, 1)
		},
		"no JSON": func(_ *s3server, _ *testing.T, _ string) string { return "{" },
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			b := newExport(t, s.endpoint)
			b.many(100)
			planned := b.plan(4)
			for i := range int(planned.Shards) {
				if i != 1 || change != nil {
					b.mustBeDone(b.shard(i))
				}
			}
			if change != nil {
				s.put(t, at, []byte(change(s, t, s.object(t, at))))
			}
			if r := b.finishShards(); r.Reason != wire.VerificationFailed || r.Class != wire.Retry ||
				!strings.Contains(r.Message, "shard 1 of ") || s.has(t, "runs/1/"+manifest.Key) {
				t.Errorf("the report is %+v", r)
			}
			b.mustBeDone(b.shard(1))
			if r := b.mustBeDone(b.finishShards()); r.Objects != 100 {
				t.Errorf("the report is %+v", r)
			}
		})
	}
}

// Files change, go and are renamed after the plan was made. What is sent is what is there then, and nothing of the
// volume is lost.
func TestFilesThatChangeAfterThePlan(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	planned := b.plan(4)
	at := func(name string) string { return filepath.Join(b.paths.Volume, "many", "a", name) }
	b.file("many/a/0", "longer than it was")
	mustDo(t, os.Remove(at("7")))
	mustDo(t, os.Rename(at("14"), filepath.Join(b.paths.Volume, "moved")))
	for i := range int(planned.Shards) {
		b.mustBeDone(b.shard(i))
	}
	b.mustBeDone(b.finishShards())
	if m := s.manifestOf(t, "runs/1/"); s.object(t, "runs/1/moved") != "14" || len(m.Entries) != 99+8 {
		t.Errorf("the manifest has %d entries", len(m.Entries))
	}
	mover, report := b.populate(nil)
	mover.mustBeDone(report)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, mover.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// A shard that is killed goes on with what it has sent, and its neighbours neither wait nor notice.
func TestAShardThatIsKilled(t *testing.T) {
	s := startVersity(t)
	var mu sync.Mutex
	puts := map[string]int{}
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPut && !strings.Contains(keyOf(r), wire.JournalDir) {
			puts[keyOf(r)+" "+r.URL.Query().Get("partNumber")]++
		}
		return false
	})
	sent := func(key string) int {
		mu.Lock()
		defer mu.Unlock()
		return puts["runs/1/"+key]
	}
	b := newExport(t, p.URL)
	b.many(100)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 120<<20), 0o600))
	planned := b.plan(4) // The large file is first.
	b.request.Transfer.BytesPerSecond = 20 << 20
	b.toShard(0)
	cmd := b.spawn()
	waitFor(t, time.Minute, "some parts are stored, and another is on its way", func() bool {
		return sent("large 4") > 0 && p.hasStored("runs/1/large", "1") && p.hasStored("runs/1/large", "2")
	})
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	b.request.Transfer.BytesPerSecond = 0
	for i := range int(planned.Shards) {
		b.mustBeDone(b.shard(i))
	}
	b.mustBeDone(b.finishShards())
	if sent("large 1") != 1 || sent("large 2") != 1 {
		t.Errorf("S3 was sent %v", puts)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
	mover, report := b.populate(nil)
	mover.mustBeDone(report)
	if diff := cmp.Diff(tree(t, b.paths.Volume), tree(t, mover.paths.Volume)); diff != "" {
		t.Errorf("(-exported +populated):\n%s", diff)
	}
}

// An object that somebody has replaced after its shard was done makes the end fail. With a new plan, it is sent again.
func TestAnObjectThatIsReplacedAfterItsShard(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	for i := range int(b.plan(4).Shards) {
		b.mustBeDone(b.shard(i))
	}
	s.put(t, "runs/1/many/a/0", []byte("x"))
	if r := b.finishShards(); r.Reason != wire.VerificationFailed || r.Class != wire.Retry || r.Progressed {
		t.Errorf("the report is %+v", r)
	}
	for i := range int(b.plan(4).Shards) {
		b.mustBeDone(b.shard(i))
	}
	if r := b.mustBeDone(b.finishShards()); r.SentObjects != 1 || s.object(t, "runs/1/many/a/0") != "0" {
		t.Errorf("the report is %+v", r)
	}
}

// An Abort leaves nothing of a run that has shards.
func TestShardsAreAborted(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	b.plan(4)
	b.mustBeDone(b.shard(1))
	abort := newExport(t, s.endpoint)
	abort.request.Operation, abort.request.Volume = wire.Abort, wire.Volume{}
	abort.mustBeDone(abort.run())
	if got := s.keys(t, "runs/1/.s3populator/"); len(got) > 0 {
		t.Errorf("left are %q", got)
	}
}

// Which shard a mover has is never guessed.
func TestAShardOfNoJob(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.many(100)
	planned := b.plan(4)
	b.request.Export.Step = wire.StepShard
	for _, shard := range []string{"", "x", "-1", strconv.Itoa(int(planned.Shards))} {
		b.options.Getenv = shardVariable(shard)
		if r := b.run(); r.Reason != wire.MoverBroken || r.Class != wire.User {
			t.Errorf("shard %q: the report is %+v, want %s", shard, r, wire.MoverBroken)
		}
	}
}
