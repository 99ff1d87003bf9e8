// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// Keys of the S3 servers that tests start. They have characters that a shell,
// a URL and a regular expression would misread.
const (
	testAccessKey = "test-access"
	testSecretKey = "se:cr/et+K%41y@x=1"
	testBucket    = "bucket"
	testClaim     = "this-claim" // A UID.
)

// testTransport is how tests themselves reach a server with a private CA.
var testTransport http.RoundTripper

// s3server is a real S3 server on loopback.
type s3server struct {
	endpoint string
	dir      string // Where VersityGW keeps objects as files.
	client   *minio.Client
}

// startVersity runs VersityGW over a fresh directory, with a bucket in it.
func startVersity(t testing.TB, flags ...string) *s3server {
	t.Helper()
	binary := testenv.Variable(t, "MOVER_TEST_VERSITYGW")
	dir := t.TempDir()
	address := listening(t, binary, func(address string) []string {
		return append(append([]string{"--port", address}, flags...), "posix", dir)
	})
	return ready(t, &s3server{endpoint: scheme(flags) + address, dir: dir})
}

func scheme(flags []string) string {
	if slices.Contains(flags, "--cert") {
		return "https://"
	}
	return "http://"
}

func ready(t testing.TB, s *s3server) *s3server {
	t.Helper()
	s.client = s.clientAt(t, s.endpoint, testTransport)
	waitFor(t, time.Minute, "the S3 server answers", func() bool {
		err := s.client.MakeBucket(t.Context(), testBucket, minio.MakeBucketOptions{})
		return err == nil || minio.ToErrorResponse(err).Code == "BucketAlreadyOwnedByYou"
	})
	return s
}

func (s *s3server) clientAt(t testing.TB, endpoint string, transport http.RoundTripper) *minio.Client {
	t.Helper()
	c, err := minio.New(strings.TrimPrefix(strings.TrimPrefix(endpoint, "http://"), "https://"), &minio.Options{
		Creds:     credentials.NewStaticV4(testAccessKey, testSecretKey, ""),
		Secure:    strings.HasPrefix(endpoint, "https://"),
		Region:    "us-east-1",
		Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put uploads one object.
func (s *s3server) put(t testing.TB, key string, content []byte) {
	t.Helper()
	_, err := s.client.PutObject(
		t.Context(),
		testBucket,
		key,
		bytes.NewReader(content),
		int64(len(content)),
		minio.PutObjectOptions{DisableMultipart: true},
	)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// putParts uploads one object in parts of the given size.
func (s *s3server) putParts(t testing.TB, key string, content []byte, part uint64) {
	t.Helper()
	_, err := s.client.PutObject(
		t.Context(),
		testBucket,
		key,
		bytes.NewReader(content),
		int64(len(content)),
		minio.PutObjectOptions{PartSize: part},
	)
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// waitFor polls a condition.
func waitFor(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

// bench is one mover under test: where its pod's mounts are and what it is asked.
type bench struct {
	t       testing.TB
	paths   Paths
	request wire.Request
	options Options
	log     bytes.Buffer
	// hears is told each line that the mover says, before it goes on; nil hears nothing.
	hears listener
}

// listener takes what a mover says.
type listener func(line string)

func (l listener) Write(text []byte) (int, error) {
	l(string(text))
	return len(text), nil
}

// newBench prepares a volume, a Secret and a request for a server's bucket.
func newBench(t testing.TB, endpoint string) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{t: t, paths: Paths{
		Volume:        filepath.Join(dir, "volume"),
		Device:        filepath.Join(dir, "device"),
		Scratch:       filepath.Join(dir, "scratch"),
		Credentials:   filepath.Join(dir, "secret"),
		CABundles:     filepath.Join(dir, "ca"),
		ProgressToken: filepath.Join(dir, "progress-token"),
		IdentityToken: filepath.Join(dir, "identity-token"),
	}}
	for _, d := range []string{b.paths.Volume, b.paths.Scratch, b.paths.Credentials, b.paths.CABundles} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.secret(map[string]string{"access_key": testAccessKey + "\n", "secret_key": testSecretKey + "\n"})
	b.request = wire.Request{
		Operation:   wire.Populate,
		Source:      wire.Source{Endpoint: endpoint, Bucket: testBucket, Region: "us-east-1"},
		Volume:      wire.Volume{Mode: wire.Filesystem, ClaimUID: testClaim},
		Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "s3-creds"},
		// Every test holds for every engine; this variable picks the one.
		Transfer: wire.Transfer{Engine: cmp.Or(os.Getenv("MOVER_TEST_ENGINE"), wire.EngineMC)},
		Attempt:  1,
	}
	b.options = Options{
		Paths:      b.paths,
		MC:         os.Getenv("MOVER_TEST_MC"),
		PodUID:     "this-pod",
		Getenv:     func(string) string { return "" },
		RoundPause: time.Millisecond,
	}
	return b
}

// isNative tells that this run of the tests is about the engine of our own.
func isNative() bool { return os.Getenv("MOVER_TEST_ENGINE") == wire.EngineNative }

// onlyMC skips a test of what mc alone does.
func onlyMC(t testing.TB) {
	t.Helper()
	if isNative() {
		t.Skip("it is about mc")
	}
}

func (b *bench) secret(keys map[string]string) {
	b.t.Helper()
	for k, v := range keys {
		write(b.t, filepath.Join(b.paths.Credentials, k), v)
	}
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// adopt puts the journal of an earlier pod on the volume: whatever is on it is ours.
func (b *bench) adopt() {
	b.t.Helper()
	v, err := volume.Open(b.paths.Volume, "")
	if err != nil {
		b.t.Fatal(err)
	}
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "earlier-pod", Request: "another"})
	if err != nil {
		b.t.Fatal(err)
	}
	j.Close()
}

// run makes one attempt.
func (b *bench) run() wire.Report {
	b.t.Helper()
	return b.runContext(b.t.Context())
}

func (b *bench) runContext(ctx context.Context) wire.Report {
	b.t.Helper()
	if b.options.MC == "" {
		testenv.Variable(b.t, "MOVER_TEST_MC")
	}
	b.log.Reset()
	if b.options.Log = &b.log; b.hears != nil {
		b.options.Log = io.MultiWriter(&b.log, b.hears)
	}
	r := Run(ctx, b.request, b.options)
	b.t.Cleanup(func() {
		if b.t.Failed() {
			b.t.Logf("log of the mover:\n%s", b.log.String())
		}
	})
	return r
}

// mustBeDone fails the test unless the attempt succeeded.
func (b *bench) mustBeDone(r wire.Report) wire.Report {
	b.t.Helper()
	if r.Class != wire.Done || r.Reason != "" {
		b.t.Fatalf("report is %+v, want Done\n%s", r, b.log.String())
	}
	b.mustBeTidy()
	return r
}

// mustBeTidy checks that nothing of ours or of mc's is left.
func (b *bench) mustBeTidy() {
	b.t.Helper()
	if _, err := os.Lstat(filepath.Join(b.paths.Volume, wire.JournalDir)); err == nil {
		b.t.Errorf("the journal is still on the volume")
	}
	if left, err := os.ReadDir(b.paths.Scratch); err != nil || len(left) > 0 {
		b.t.Errorf("the scratch directory holds %v (%v)", left, err)
	}
}

// mustHold compares the volume with what is wanted: content by path, and
// directories with a trailing slash and no content. Nothing else may be there.
func (b *bench) mustHold(want map[string][]byte) {
	b.t.Helper()
	left := make(map[string]bool, len(want))
	for p := range want {
		left[p] = true
	}
	err := filepath.WalkDir(b.paths.Volume, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, b.paths.Volume), "/")
		if d.IsDir() {
			if empty, _ := filepath.Glob(path + "/*"); len(empty) == 0 && name != "" && !left[name+"/"] && !hasHidden(path) {
				return fmt.Errorf("unexpected empty directory %q", name)
			}
			delete(left, name+"/")
			return nil
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%q is %v", name, d.Type())
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if w, ok := want[name]; !ok || !bytes.Equal(w, content) {
			return fmt.Errorf("%q has %d bytes that are not wanted there (known: %v)", name, len(content), ok)
		}
		delete(left, name)
		return nil
	})
	if err != nil {
		b.t.Errorf("volume: %v", err)
	}
	if len(left) > 0 {
		b.t.Errorf("the volume lacks %d entries, such as %v", len(left), firstKey(left))
	}
}

func hasHidden(dir string) bool {
	entries, _ := os.ReadDir(dir)
	return len(entries) > 0
}

func firstKey(m map[string]bool) string {
	for k := range m {
		return strconv.Quote(k)
	}
	return ""
}
