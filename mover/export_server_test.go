// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// Tags and classes of storage are those of files, and never of the manifest.
func TestTagsAndStorageClass(t *testing.T) {
	s := startMinIO(t)
	b := newExport(t, s.endpoint)
	b.file("small", "small")
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 17<<20), 0o600))
	b.settle()
	b.request.Export.StorageClass, b.request.Export.Tags = "REDUCED_REDUNDANCY", map[string]string{"team": "a b+c"}
	b.mustBeDone(b.run())
	b.request.Source.Prefix, b.request.Export.Run, b.request.Export.CopyFrom = "runs/2/", "run-2", "runs/1/"
	if r := b.mustBeDone(b.run()); r.CopiedObjects != 2 {
		t.Errorf("the report is %+v, want two copies", r)
	}
	for key, want := range map[string]string{
		"runs/1/small": "REDUCED_REDUNDANCY", "runs/1/large": "REDUCED_REDUNDANCY", "runs/1/" + manifest.Key: "",
		"runs/2/small": "REDUCED_REDUNDANCY", "runs/2/large": "REDUCED_REDUNDANCY", "runs/2/" + manifest.Key: "",
	} {
		info, err := s.client.StatObject(t.Context(), testBucket, key, minio.StatObjectOptions{})
		mustDo(t, err)
		if got := info.Metadata.Get("X-Amz-Storage-Class"); got != want {
			t.Errorf("%s has the storage class %q, want %q", key, got, want)
		}
		tags, err := s.client.GetObjectTagging(t.Context(), testBucket, key, minio.GetObjectTaggingOptions{})
		mustDo(t, err)
		if got := tags.ToMap()["team"]; (got == "a b+c") != (want != "") {
			t.Errorf("%s has the tag %q", key, got)
		}
	}
	for name, tt := range map[string]struct {
		change func(*wire.ExportOptions)
		text   string
	}{
		"no such class": {func(o *wire.ExportOptions) { o.StorageClass = "NONE" }, "spec.storageClass"},
		"no keys":       {func(o *wire.ExportOptions) { o.Encryption.Type = wire.EncryptKMS }, "spec.serverSideEncryption"},
		"no such tag": {
			func(o *wire.ExportOptions) { o.Tags = map[string]string{"aws:x": strings.Repeat("y", 300)} },
			"spec.tags",
		},
	} {
		b.request.Source.Prefix, b.request.Export = "x/", wire.ExportOptions{Run: "run-3"}
		tt.change(&b.request.Export)
		if r := b.run(); r.Reason != wire.RequestRejected || !strings.Contains(r.Message, tt.text) {
			t.Errorf("%s: the report is %+v, want %s with %q", name, r, wire.RequestRejected, tt.text)
		}
	}
}

// Keys that may write and not delete are enough for a prefix of its own.
func TestAnExportWithKeysThatMayNotDelete(t *testing.T) {
	s := startVersity(t)
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodDelete && s3Error(w, http.StatusForbidden, "AccessDenied")
	})
	b := newExport(t, p.URL)
	b.file("f", "content")
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 17<<20), 0o600))
	for range 2 { // The second time it is complete.
		if r := b.mustBeDone(b.run()); r.Objects != 2 || r.ManifestDigest == "" {
			t.Errorf("the report is %+v", r)
		}
	}
	// A prefix that is used again needs more, and is left as it is.
	b.file("f", "other")
	b.request.Export.Run = "run-2"
	if r := b.run(); r.Reason != wire.AccessDenied || !strings.Contains(r.Message, "s3:DeleteObject") {
		t.Errorf("the report is %+v", r)
	}
	if got := s.object(t, "runs/1/f"); got != "content" {
		t.Errorf("the object holds %q", got)
	}
}

// A server in trouble for a while is waited for; one that stays in trouble is no fault of the request.
func TestAServerThatThrottlesUploads(t *testing.T) {
	s := startVersity(t)
	var asked atomic.Int64
	most := int64(20) // Are refused.
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasPrefix(keyOf(r), "runs/1/f") || asked.Add(1) > most {
			return false
		}
		return s3Error(w, http.StatusServiceUnavailable, "SlowDown")
	})
	b := newExport(t, p.URL)
	for _, name := range []string{"f1", "f2", "f3"} {
		b.file(name, name)
	}
	b.mustBeDone(b.run())
	if n := asked.Load(); n < most+3 {
		t.Errorf("%d requests were made, of which %d were to be refused", n, most)
	}
	most, b.request.Export.Run = 1<<60, "run-2"
	b.request.Export.OnExisting = wire.Overwrite
	if r := b.run(); r.Reason != wire.Throttled || r.Class != wire.RetryUncounted {
		t.Errorf("the report is %+v, want %s", r, wire.Throttled)
	}
}

// A mover that is told to stop keeps what it has sent, and the next goes on with it.
func TestAnExportThatIsInterrupted(t *testing.T) {
	s := startVersity(t)
	var mu sync.Mutex
	parts := map[string]int{}
	ctx, stop := context.WithCancelCause(t.Context())
	var once sync.Once
	var p *proxy
	p = startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut {
			return false
		}
		part := r.URL.Query().Get("partNumber")
		mu.Lock()
		parts[keyOf(r)+part]++
		mu.Unlock()
		if part == "4" {
			once.Do(func() {
				waitFor(t, time.Minute, "what was sent before is stored", func() bool {
					return p.hasStored("runs/1/large", "1") && p.hasStored("runs/1/large", "2") && p.hasStored("runs/1/small", "")
				})
				stop(fault.ErrTerminated)
			})
		}
		return false
	})
	b := newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 90<<20), 0o600))
	b.file("small", "small")
	b.request.Transfer.BytesPerSecond = 64 << 20
	b.request.Export.OnExisting = wire.Overwrite // What this run has sent is not sent again.
	if r := b.runContext(ctx); r.Reason != wire.Interrupted || !r.Progressed || r.Class != wire.RetryUncounted {
		t.Fatalf("the report is %+v, want %s", r, wire.Interrupted)
	}
	b.request.Attempt = 2
	r := b.mustBeDone(b.run())
	mu.Lock()
	defer mu.Unlock()
	for _, key := range []string{"runs/1/large1", "runs/1/large2", "runs/1/small"} {
		if parts[key] != 1 {
			t.Errorf("%s was sent %d times", key, parts[key])
		}
	}
	if r.SentBytes >= 90<<20 || r.Objects != 2 {
		t.Errorf("the report is %+v", r)
	}
	if got := s.uploads(t); len(got) > 0 {
		t.Errorf("there are open uploads of %q", got)
	}
}

// No part is held in memory, however large the file.
func TestAnExportTakesLittleMemory(t *testing.T) {
	if testenv.Race {
		t.Skip("measures memory")
	}
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	large, err := os.Create(filepath.Join(b.paths.Volume, "large"))
	mustDo(t, err)
	mustDo(t, large.Truncate(600<<20)) // A hole, which reads as zeroes.
	mustDo(t, large.Close())
	cmd := b.spawn()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// Not ru_maxrss, which counts what the test had before it started the mover.
	status, took := filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), "status"), int64(0)
	waitFor(t, 5*time.Minute, "the mover ends", func() bool {
		text, _ := os.ReadFile(status)
		_, after, _ := strings.Cut(string(text), "VmHWM:")
		if fields := strings.Fields(after); len(fields) > 0 {
			took, _ = strconv.ParseInt(fields[0], 10, 64)
		}
		return len(ended) > 0
	})
	if err := <-ended; err != nil {
		t.Fatalf("%v:\n%s", err, b.log.String())
	}
	const most = 60 << 10 // KiB, with the program itself and the test.
	if took == 0 || took > most {
		t.Errorf("the mover took %d KiB, want %d at most", took, most)
	}
	t.Logf("the mover took %d KiB", took)
}

func TestAnExportTellsOfItsProgress(t *testing.T) {
	m := startManager(t, http.StatusNoContent)
	s := startVersity(t)
	want := wire.Snapshot{
		Phase: wire.Transferring, ObjectsDone: 1, ObjectsTotal: 2, BytesDone: 5 + 32<<20, BytesTotal: 5 + 48<<20,
	}
	told := func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return slices.ContainsFunc(m.snapshots, func(s wire.Snapshot) bool {
			s.BytesPerSecond = 0
			return s == want
		})
	}
	var once sync.Once // Who does not get it fails, and is not asked again.
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("partNumber") == "3" {
			once.Do(func() { waitFor(t, time.Minute, "a message of all but the last part", told) })
		}
		return false
	})
	b := newExport(t, p.URL)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), content(1, 48<<20), 0o600))
	b.file("small", "small")
	b.request.Progress = wire.Progress{URL: m.URL, CABundle: m.ca()}
	write(t, b.paths.ProgressToken, "token")
	b.mustBeDone(b.run())
	if !told() {
		t.Errorf("told is %+v, and not %+v", m.snapshots, want)
	}
}
