// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// Each named version is fetched and verified, whatever is current by now, large objects too.
func TestVersions(t *testing.T) {
	binary := testenv.Variable(t, "MOVER_TEST_VERSITYGW")
	dir, versions := t.TempDir(), t.TempDir()
	address := listening(t, binary, func(address string) []string {
		return []string{"--port", address, "posix", "--versioning-dir", versions, dir}
	})
	s := ready(t, &s3server{endpoint: "http://" + address, dir: dir})
	if err := s.client.EnableVersioning(t.Context(), testBucket); err != nil {
		t.Fatal(err)
	}
	put := func(key string, content []byte) string {
		t.Helper()
		info, err := s.client.PutObject(
			t.Context(),
			testBucket,
			key,
			bytes.NewReader(content),
			int64(len(content)),
			minio.PutObjectOptions{DisableMultipart: true},
		)
		if err != nil || info.VersionID == "" {
			t.Fatalf("put %s: %v, version %q", key, err, info.VersionID)
		}
		return info.VersionID
	}
	old := map[string][]byte{"small": content(1, 100), "large": content(2, plan.LargeSize+5)}
	small, large := put("small", old["small"]), put("large", old["large"])
	put("small", content(3, 100))
	put("large", content(4, 200))
	current := content(5, 50)
	put("other", current)

	b := newBench(t, s.endpoint)
	b.request.Source.Objects = []wire.Object{
		{Key: "small", VersionID: small},
		{Key: "large", VersionID: large},
		{Key: "other"},
	}
	b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"small": old["small"], "large": old["large"], "other": current})

	for name, version := range map[string]string{
		"no such version": "01JZZZZZZZZZZZZZZZZZZZZZZZ", "no name of a version": "x",
	} {
		b := newBench(t, s.endpoint)
		b.request.Source.Objects = []wire.Object{{Key: "small", VersionID: version}}
		if r := b.run(); r.Reason != wire.NoSuchObject || !strings.Contains(r.Message, version) {
			t.Errorf("%s: report is %+v, want NoSuchObject with the version", name, r)
		}
	}
}

// A server that keeps no versions gives what it has, whichever is asked for: that is not it.
func TestVersionsOfAServerWithoutAny(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("current"))
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead || keyOf(r) == "" {
			return false
		}
		w.Header().Set("ETag", `"0cc175b9c0f1b6a831c399e269772661"`)
		w.Header().Set("Content-Length", "7")
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		return true
	})
	b := newBench(t, p.URL)
	b.request.Source.Objects = []wire.Object{{Key: "a", VersionID: "v1"}}
	if r := b.run(); r.Reason != wire.RequestRejected || !strings.Contains(r.Message, "remove versionId") ||
		p.gets.Load() > 0 {
		t.Errorf("report is %+v after %d objects, want RequestRejected after none", r, p.gets.Load())
	}
}

// What is asked to explain a failure is asked as the object was: without the header or the
// version the answer is about something else, and may end the claim for good.
func TestAFailureIsExplainedByWhatWasAsked(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.Header.Get(source.PayerHeader) != source.Payer && keyOf(r) != "":
			return s3Error(w, http.StatusForbidden, "AccessDenied")
		case r.Method == http.MethodGet && keyOf(r) != "":
			return s3Error(w, http.StatusConflict, "Odd")
		}
		return false
	})
	b := newBench(t, p.URL)
	b.request.Source.RequestPayer = true
	if r := b.run(); r.Reason != wire.TransferFailed || !r.Class.Again() {
		t.Errorf("report is %+v, want TransferFailed", r)
	}
}

// An object that comes with more bytes than it has must not shift those behind it, which
// nothing but their size tells from others.
func TestAnObjectThatIsTooLong(t *testing.T) {
	for _, payer := range []bool{true, false} {
		anObjectThatIsTooLong(t, payer)
	}
}

func anObjectThatIsTooLong(t *testing.T, payer bool) {
	s := startVersity(t)
	want := map[string][]byte{"a": content(1, 10), "b": content(2, 20), "c": content(3, 30)}
	for k, c := range want {
		s.put(t, k, c)
	}
	var lied atomic.Bool
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || keyOf(r) != "a" || lied.Swap(true) {
			return false
		}
		w.Header().Set("Content-Length", "12")
		w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
		_, _ = w.Write(append(bytes.Clone(want["a"]), "xx"...))
		return true
	})
	b := newBench(t, p.URL)
	b.request.Source.RequestPayer = payer
	b.request.Transfer.Verify = proof.VerifySize // As under a KMS key.
	b.mustBeDone(b.run())
	b.mustHold(want)
}

// requesterPays refuses whoever does not accept the costs, and counts what is asked.
func requesterPays(t *testing.T, s *s3server) (p *proxy, asked *atomic.Int64) {
	t.Helper()
	asked = new(atomic.Int64)
	return startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		asked.Add(1)
		signed := strings.Contains(r.Header.Get("Authorization"), source.PayerHeader)
		if r.Header.Get(source.PayerHeader) == source.Payer && signed {
			return false
		}
		t.Logf("refused: %s %s", r.Method, r.URL)
		return s3Error(w, http.StatusForbidden, "AccessDenied")
	}), asked
}

// Everything that is asked of a bucket that is Requester Pays accepts the costs, in a header
// that is signed, as AWS wants it.
func TestRequestPayer(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"small": content(1, 100), "dir/large": content(2, plan.LargeSize+5), "empty": {}}
	for k, c := range want {
		s.put(t, "pre/"+k, c)
	}
	p, asked := requesterPays(t, s)
	b := newBench(t, p.URL)
	b.request.Source.Prefix, b.request.Source.RequestPayer = "pre", true
	b.mustBeDone(b.run())
	b.mustHold(want)
	if n := asked.Load(); n < int64(len(want)) {
		t.Errorf("only %d times something was asked", n)
	}
	b = newBench(t, p.URL)
	b.request.Source.Prefix = "pre"
	if r := b.run(); r.Reason != wire.AccessDenied {
		t.Errorf("without requestPayer: report is %+v, want AccessDenied", r)
	}
}

// So does what is asked for the manifest of an export there.
func TestRequestPayerOfARun(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	mustDo(t, os.Symlink("a", b.at("link")))
	digest := b.mustBeDone(b.run()).ManifestDigest
	want := withoutOwners(tree(t, b.paths.Volume))
	p, _ := requesterPays(t, s)
	b.request.Source.Endpoint = p.URL
	restored, r := b.populate(func(r *wire.Request) {
		r.Source.RequestPayer = true
		r.Policy.Run = wire.ExportedRun{UID: "run-1", Prefix: "runs/1/", Digest: digest}
	})
	restored.mustBeDone(r)
	mustBeTree(t, want, restored)
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/"+manifest.Key, minio.RemoveObjectOptions{}))
	if _, r := b.populate(func(r *wire.Request) { r.Source.RequestPayer = true }); r.Reason != wire.NoSuchObject {
		t.Errorf("without a manifest the report is %+v, want %s", r, wire.NoSuchObject)
	}
}

// Our own client gives up a server that sends nothing more, keeps to the bandwidth, and
// notices an object that is another one by now.
func TestDirectFaults(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", content(1, 300<<10))
	var changed sync.Once
	for name, test := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request) bool
		idle  time.Duration // 0: longer than any machine takes to go on.
		want  wire.Reason
	}{
		"silence": {func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) == "" {
				return false
			}
			w.Header().Set("Content-Length", "307200")
			w.Header().Set("Last-Modified", time.Unix(0, 0).UTC().Format(http.TimeFormat))
			_, _ = w.Write(make([]byte, 1000))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}, 200 * time.Millisecond, wire.EndpointUnreachable},
		"another object": {func(_ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodGet && keyOf(r) != "" {
				changed.Do(func() { s.put(t, "a", content(2, 300<<10)) })
			}
			return false
		}, 0, wire.SourceChanged},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, startProxy(t, s, test.fault).URL)
			b.request.Source.RequestPayer = true
			b.options.IdleTimeout = test.idle
			if r := b.run(); r.Reason != test.want {
				t.Errorf("report is %+v, want %s", r, test.want)
			}
		})
	}
	b := newBench(t, s.endpoint)
	b.request.Source.RequestPayer, b.request.Transfer.BytesPerSecond, b.request.Transfer.Parallelism = true, 200<<10, 1
	begin := time.Now()
	b.mustBeDone(b.run())
	if took := time.Since(begin); took < 800*time.Millisecond { // The first piece costs nothing.
		t.Errorf("300 KiB at 200 KiB per second took %s", took)
	}
}

// Keys of a Secret may have any names, and the message says which are missing.
func TestSecretKeyNames(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("a"))
	b := newBench(t, s.endpoint)
	if err := os.RemoveAll(b.paths.Credentials); err != nil {
		t.Fatal(err)
	}
	b.secret(map[string]string{"MINIO_ID": testAccessKey, "password": testSecretKey})
	b.request.Credentials.Keys = wire.SecretKeys{AccessKey: "MINIO_ID", SecretKey: "password"}
	b.mustBeDone(b.run())
	b.request.Credentials.Keys.SecretKey, b.request.Operation = "secret", wire.Inventory
	if r := b.run(); r.Reason != wire.CredentialsMissing || !strings.Contains(r.Message, "it needs MINIO_ID and secret") ||
		!strings.Contains(r.Message, "secretRef.keys") {
		t.Errorf("report is %+v, want CredentialsMissing that names the keys", r)
	}
}

// Owners and modes are what the source says; what cannot be is the user's to correct.
func TestFiles(t *testing.T) {
	s := startVersity(t)
	for _, k := range []string{"a", "dir/b", "dir/sub/c"} {
		s.put(t, k, []byte(k))
	}
	s.put(t, "void/", nil)
	b := newBench(t, s.endpoint)
	b.request.Volume.TargetPath = "data/set"
	b.request.Files = wire.Files{
		Mode:    new(uint32(0o440)),
		DirMode: new(uint32(0o710)),
		UID:     new(int64(os.Getuid())),
		GID:     new(int64(os.Getgid())),
	}
	if os.Getuid() == 0 {
		b.request.Files.UID, b.request.Files.GID = new(int64(1234)), new(int64(2345))
	}
	if err := os.Chmod(b.paths.Volume, 0o775|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	b.mustBeDone(b.run())
	for name, mode := range map[string]os.FileMode{
		"data": 0o710, "data/set": 0o710, "data/set/a": 0o440, "data/set/dir": 0o710, "data/set/dir/b": 0o440,
		"data/set/dir/sub": 0o710, "data/set/dir/sub/c": 0o440, "data/set/void": 0o710, ".": 0o775,
	} {
		info, err := os.Lstat(filepath.Join(b.paths.Volume, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %o, want %o", name, info.Mode().Perm(), mode)
		}
		if info.IsDir() && info.Mode()&os.ModeSetgid == 0 {
			t.Errorf("%s has lost its setgid bit", name)
		}
		uid, gid := owner(t, info)
		if name != "." && (int64(uid) != *b.request.Files.UID || int64(gid) != *b.request.Files.GID) {
			t.Errorf("%s belongs to %d:%d, want %d:%d", name, uid, gid, *b.request.Files.UID, *b.request.Files.GID)
		}
	}
}

func owner(t *testing.T, info os.FileInfo) (uid, gid uint32) {
	t.Helper()
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("no owner in %T", info.Sys())
	}
	return stat.Uid, stat.Gid
}
