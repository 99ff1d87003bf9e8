// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover"
	"github.com/s3populator/s3populator/mover/wire"
)

// attempt is a mover under test, and the ones after it on the same volume.
type attempt struct {
	t       testing.TB
	request wire.Request
	options mover.Options
	log     lockedBuffer
	done    bool
}

// lockedBuffer takes lines of a mover while the test reads them.
type lockedBuffer struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

func newAttempt(t testing.TB, engine, address string) *attempt {
	t.Helper()
	dir := t.TempDir()
	paths := mover.Paths{
		Volume:        filepath.Join(dir, "volume"),
		Scratch:       filepath.Join(dir, "scratch"),
		Credentials:   filepath.Join(dir, "secret"),
		CABundles:     filepath.Join(dir, "ca"),
		ProgressToken: filepath.Join(dir, "progress-token"),
		IdentityToken: filepath.Join(dir, "identity-token"),
	}
	for _, d := range []string{paths.Volume, paths.Scratch, paths.Credentials, paths.CABundles} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a := &attempt{t: t}
	a.secret(paths.Credentials, secretKey)
	a.request = wire.Request{
		Operation:   wire.Populate,
		Source:      wire.Source{Endpoint: "http://" + address, Bucket: bucket, Region: region},
		Volume:      wire.Volume{Mode: wire.Filesystem, ClaimUID: "this-claim"},
		Transfer:    wire.Transfer{Engine: engine},
		Credentials: wire.Credentials{Kind: wire.SecretFiles, Name: "s3-creds"},
		Attempt:     1,
	}
	a.options = mover.Options{
		Paths: paths, PodUID: "this-pod", RoundPause: time.Millisecond,
		IdleTimeout:     6 * time.Second, // More than a busy machine takes to go on.
		CheckpointEvery: 200 * time.Millisecond,
		MC:              testenv.Variable(t, "MOVER_TEST_MC"), Getenv: func(string) string { return "" }, Log: &a.log,
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the movers:\n%s", a.log.String())
		}
	})
	return a
}

func (a *attempt) secret(dir, key string) {
	a.t.Helper()
	for name, value := range map[string]string{"access_key": accessKey, "secret_key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
}

// run makes one attempt that must end in time. Whatever it says, it does not say it of wrong bytes.
func (a *attempt) run(limit time.Duration, want map[string][]byte) wire.Report {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), limit)
	defer cancel()
	r := mover.Run(ctx, a.request, a.options)
	if ctx.Err() != nil {
		a.t.Errorf("the attempt did not end within %s: %+v", limit, r)
	}
	if r.Engine != a.request.Transfer.Engine {
		a.t.Errorf("%s was asked for, and the report names %q", a.request.Transfer.Engine, r.Engine)
	}
	a.request.Attempt++
	a.request.Volume.Began = a.request.Volume.Began || r.Began
	if a.done = r.Class == wire.Done; a.done {
		a.mustHold(want)
	}
	return r
}

// mustFinish makes attempts as the manager does, now that nothing is broken any more: the
// first one must do.
func (a *attempt) mustFinish(want map[string][]byte) {
	a.t.Helper()
	if r := a.run(2*time.Minute, want); r.Class != wire.Done {
		a.t.Fatalf("when all is well again the report is %+v", r)
	}
}

// mustEnd checks a report.
func (a *attempt) mustEnd(r wire.Report, reasons ...wire.Reason) {
	a.t.Helper()
	for _, reason := range reasons {
		if r.Reason == reason && r.Message != "" {
			return
		}
	}
	a.t.Errorf("the report is %+v, want one of the reasons %v", r, reasons)
}

// mustHold requires these files with these bytes below the volume, and nothing else.
func (a *attempt) mustHold(want map[string][]byte) {
	a.t.Helper()
	found := 0
	err := filepath.WalkDir(a.options.Paths.Volume, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		name, err := filepath.Rel(a.options.Paths.Volume, path)
		if err != nil {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if w, ok := want[name]; !ok || !bytes.Equal(w, got) {
			a.t.Errorf("%q has %d bytes that do not belong there (the name does: %v)", name, len(got), ok)
		}
		return nil
	})
	if err != nil || found != len(want) {
		a.t.Errorf("the volume holds %d files, want %d (%v)", found, len(want), err)
	}
}

// arrived counts the bytes below the volume, those of unfinished files included.
func (a *attempt) arrived() (sum int64) {
	_ = filepath.WalkDir(a.options.Paths.Volume, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // It is being written.
		}
		if info, err := d.Info(); err == nil {
			sum += info.Size()
		}
		return nil
	})
	return sum
}

// mustFinishUnlessDone is mustFinish for an attempt that may have got through.
func (a *attempt) mustFinishUnlessDone(want map[string][]byte) {
	a.t.Helper()
	if !a.done {
		a.mustFinish(want)
	}
}
