// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// Each mistake has its own reason, and nothing is written for it.
func TestAnExportThatCannotBe(t *testing.T) {
	s := startVersity(t)
	s.put(t, "taken/f", []byte("somebody's"))
	for name, tt := range map[string]struct {
		change func(*bench)
		want   wire.Reason
		text   string
	}{
		"no such path": {func(b *bench) { b.request.Volume.TargetPath = "absent" }, wire.PathNotFound, `"absent"`},
		"a link": {
			func(b *bench) { b.request.Volume.TargetPath = "link" },
			wire.PathNotFound,
			"links are not followed",
		},
		"out of the volume": {
			func(b *bench) { b.request.Volume.TargetPath = "../secret" },
			wire.PathNotFound,
			"spec.path",
		},
		"a directory to one key": {
			func(b *bench) { b.request.Source.Prefix, b.request.Export.Key = "", "k" },
			wire.PathNotFile,
			"one key",
		},
		"a name that is no key": {func(b *bench) { b.file("no\xffkey", "") }, wire.UnsafePath, `no\xffkey`},
		"an object is there": {func(b *bench) {
			b.request.Source.Prefix, b.request.Export.OnExisting = "taken/", wire.Fail
		}, wire.ExistsAlready, "taken/f"},
		"no bucket": {func(b *bench) { b.request.Source.Bucket = "no-such-bucket" }, wire.NoSuchBucket, "no-such-bucket"},
		"no server": {
			func(b *bench) { b.request.Source.Endpoint = "http://127.0.0.1:1" },
			wire.EndpointUnreachable,
			"127.0.0.1:1",
		},
		"no keys": {
			func(b *bench) { mustDo(b.t, os.Remove(filepath.Join(b.paths.Credentials, "access_key"))) },
			wire.CredentialsMissing,
			"s3-creds",
		},
		"other keys": {
			func(b *bench) { b.secret(map[string]string{"secret_key": "other-secret"}) },
			wire.AccessDenied,
			"s3-creds",
		},
		"no glob": {func(b *bench) { b.request.Source.Include = []string{"["} }, wire.MoverBroken, "spec.include"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newExport(t, s.endpoint)
			b.request.Source.Prefix = strings.ReplaceAll(name, " ", "-") + "/"
			b.file("f", "content")
			mustDo(t, os.Symlink(".", filepath.Join(b.paths.Volume, "link")))
			tt.change(b)
			before := s.keys(t, "")
			r := b.run()
			if r.Reason != tt.want || !strings.Contains(r.Message, tt.text) || r.Class == wire.Done {
				t.Errorf("the report is %+v, want %s with %q", r, tt.want, tt.text)
			}
			if diff := cmp.Diff(before, s.keys(t, "")); diff != "" {
				t.Errorf("something was written (-before +after):\n%s", diff)
			}
			if s.object(t, "taken/f") != "somebody's" {
				t.Error("somebody's object was overwritten")
			}
			for _, secret := range []string{testSecretKey, "other-secret"} {
				if strings.Contains(b.log.String()+r.Message, secret) {
					t.Errorf("the secret key is shown:\n%s", b.log.String())
				}
			}
		})
	}
}

func TestUnsafePathsAreSkippedWhereAskedFor(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("f", "content")
	b.file("no\xffkey", "")
	b.request.Export.UnsafePaths = wire.Skip
	if r := b.mustBeDone(b.run()); r.Objects != 1 || r.SkippedKeys != 1 ||
		!strings.Contains(r.Message, "1 paths cannot be keys") {
		t.Errorf("the report is %+v", r)
	}
}

// What may not be read is told with whom it belongs to, before anything is sent.
func TestAFileThatMayNotBeRead(t *testing.T) {
	testenv.Root(t) // To run the mover as somebody else.
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("dir/secret", "content")
	b.file("open", "content")
	mustDo(t, os.Chown(filepath.Join(b.paths.Volume, "dir/secret"), 4711, 4711))
	mustDo(t, os.Chmod(filepath.Join(b.paths.Volume, "dir/secret"), 0o600))
	mustDo(t, os.MkdirAll(filepath.Join(b.paths.Volume, "closed/x"), 0o700))
	code, out := b.runAs(12345)
	if code != 2 || !strings.Contains(out, string(wire.PathNotReadable)) || !strings.Contains(out, "of user 4711") ||
		!strings.Contains(out, "closed") || !strings.Contains(out, "user 12345") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if got := s.keys(t, ""); len(got) > 0 {
		t.Errorf("%q were written", got)
	}
	b.request.Source.Exclude = []string{"dir/secret", "closed/**"}
	if code, out := b.runAs(12345); code != 0 {
		t.Errorf("without them: exit code %d:\n%s", code, out)
	}
}

// A file that changes while it is read is read again, and reported when it changes again.
func TestAFileThatChangesWhileItIsSent(t *testing.T) {
	for name, size := range map[string]int{"a file": 1 << 20, "a large file": 33 << 20} {
		for _, always := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, always: %v", name, always), func(t *testing.T) {
				s := startVersity(t)
				var b *bench
				var changes atomic.Int64
				p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					isEnd := r.Method == http.MethodPut && strings.HasPrefix(r.URL.Query().Get("partNumber")+"3", "3")
					if keyOf(r) == "runs/1/f" && isEnd && (always || changes.Load() == 0) {
						n := changes.Add(1)
						f, err := os.OpenFile(filepath.Join(b.paths.Volume, "f"), os.O_APPEND|os.O_WRONLY, 0)
						mustDo(t, err)
						_, err = f.WriteString(strconv.FormatInt(n, 10))
						mustDo(t, err)
						mustDo(t, f.Close())
					}
					return false
				})
				b = newExport(t, p.URL)
				before := content(9, size)
				mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "f"), before, 0o600))
				r := b.mustBeDone(b.run())
				want := wire.Report{Bytes: int64(size) + 1}
				if always {
					want.ChangedFiles = 1
				}
				if r.ChangedFiles != want.ChangedFiles || r.Bytes != want.Bytes {
					t.Errorf("the report is %+v, want %+v", r, want)
				}
				if got := s.object(t, "runs/1/f"); got != string(before)+"1" {
					t.Errorf("the object has %d bytes, want %d", len(got), size+1)
				}
				if got := s.uploads(t); len(got) > 0 {
					t.Errorf("there are open uploads of %q", got)
				}
			})
		}
	}
}

// A server that knows no CRC64NVME is sent MD5 sums instead.
func TestAServerWithoutCRC64NVME(t *testing.T) {
	s := startVersity(t)
	var md5s atomic.Int64
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("X-Amz-Checksum-Algorithm") != "" || r.Header.Get("X-Amz-Checksum-Crc64nvme") != "" {
			return s3Error(w, http.StatusNotImplemented, "NotImplemented")
		}
		if r.Method == http.MethodPut && r.Header.Get("Content-Md5") != "" {
			md5s.Add(1)
		}
		return false
	})
	b := newExport(t, p.URL)
	b.file("f", "content")
	large := content(2, 17<<20)
	mustDo(t, os.WriteFile(filepath.Join(b.paths.Volume, "large"), large, 0o600))
	b.mustBeDone(b.run())
	if s.object(t, "runs/1/large") != string(large) || s.object(t, "runs/1/f") != "content" || md5s.Load() < 4 {
		t.Errorf("%d MD5 sums were sent", md5s.Load())
	}
}

// Bytes that S3 did not receive as they were sent are not believed.
func TestBytesThatAreDamagedOnTheirWay(t *testing.T) {
	s := startVersity(t)
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if keyOf(r) == "runs/1/f" && r.Method == http.MethodPut {
			r.Body = io.NopCloser(bytes.NewReader(bytes.Repeat([]byte("x"), int(r.ContentLength))))
		}
		return false
	})
	b := newExport(t, p.URL)
	b.file("f", "content")
	r := b.run()
	if r.Class == wire.Done {
		t.Errorf("the report is %+v", r)
	}
	for _, key := range s.keys(t, "") {
		if key == "runs/1/"+manifest.Key {
			t.Error("there is a manifest")
		}
	}
}
