// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/minio/crc64nvme"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// TestNativeOnALargeDeviceThatLosesBytes: S3 vouches for the size only, and the ranges come in any
// order. The device is compared with what came.
func TestNativeOnALargeDeviceThatLosesBytes(t *testing.T) {
	s := startVersity(t)
	image := content(1, 3*plan.LargeSize+777)
	s.put(t, "disk", image)
	server := kms(t, s, image)
	var b *bench
	var heads atomic.Int64
	p := startProxy(t, &s3server{endpoint: server.URL}, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && keyOf(r) == "disk" && heads.Add(1) == 2 {
			// The mover asks what the object is whose entity tag the device does not have.
			writeAt(t, b.paths.Device, "lost", 50<<20)
		}
		return false
	})
	b = blockBench(t, p.URL, len(image)+plan.LargeSize)
	b.request.Transfer.Engine = wire.EngineNative
	r := b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	if !strings.Contains(r.Message, "1 by size") || r.FetchedBytes != 2*int64(len(image)) {
		t.Errorf("the report is %+v, want two rounds by size", r)
	}
}

// TestNativeBySize of a policy that asks for no more.
func TestNativeBySize(t *testing.T) {
	s := startVersity(t)
	image := content(1, plan.LargeSize+777)
	s.put(t, "disk", image)
	b := blockBench(t, s.endpoint, len(image))
	b.request.Transfer = wire.Transfer{Engine: wire.EngineNative, Verify: "Size"}
	r := b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	if r.Engine != wire.EngineNative {
		t.Errorf("the report names the engine %q", r.Engine)
	}
}

// nativeFileOf makes a file as the engine does.
func nativeFileOf(t *testing.T, dir, name string, size int64) engine.File {
	t.Helper()
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	t.Cleanup(v.Close)
	mustDo(t, v.MakeTarget())
	f, err := (&nativeTarget{volume: v}).Create(engine.Task{Path: name, Size: size})
	mustDo(t, err)
	return f
}

// TestCommitIsOfThePath: what is verified has the name, and the time of its last change is what is
// found there later.
func TestCommitIsOfThePath(t *testing.T) {
	for name, size := range map[string]int64{"small": 5, "laid out": preallocateFrom} {
		t.Run(name, func(t *testing.T) { commitsThePath(t, size) })
	}
}

func commitsThePath(t *testing.T, size int64) {
	t.Helper()
	dir := t.TempDir()
	f := nativeFileOf(t, dir, "a/file", size)
	_, err := f.WriteAt([]byte("bytes"), 0)
	mustDo(t, err)
	file, err := f.Commit()
	var stat unix.Stat_t
	mustDo(t, errors.Join(err, unix.Stat(filepath.Join(dir, "a/file"), &stat)))
	if file != plan.IdentityOf(&stat) {
		t.Errorf("the file is %+v, and %+v is there", file, plan.IdentityOf(&stat))
	}
	for name, change := range map[string]func(path string) error{
		"replaced": func(path string) error {
			return errors.Join(os.WriteFile(path+".other", []byte("other"), 0o600), os.Rename(path+".other", path))
		},
		"removed": os.Remove,
	} {
		f := nativeFileOf(t, dir, name, size)
		_, err := f.WriteAt([]byte("bytes"), 0)
		mustDo(t, errors.Join(err, change(filepath.Join(dir, name))))
		if file, err := f.Commit(); !errors.Is(err, fault.ErrDiffers) {
			t.Errorf("%s: %+v (%v), want that it differs", name, file, err)
		}
	}
}

// TestLargeFilesAreLaidOut before a byte of them comes: written in any order they would be scattered, and a volume
// that runs full would show itself late.
func TestLargeFilesAreLaidOut(t *testing.T) {
	dir := t.TempDir()
	loopExt4(t, 64, dir)
	for name, tt := range map[string]struct{ size, want int64 }{
		"large": {preallocateFrom + 4097, preallocateFrom + 4097},
		"small": {preallocateFrom - 1, 0},
	} {
		f := nativeFileOf(t, dir, name, tt.size)
		var stat unix.Stat_t
		mustDo(t, unix.Stat(filepath.Join(dir, name), &stat))
		const unit = 512 // Of st_blocks, whatever the file system has.
		if got := stat.Blocks * unit; got < tt.want || tt.want == 0 && got > 0 {
			t.Errorf("%s: %d bytes are allocated of %d, want %d", name, got, tt.size, tt.want)
		}
		f.Abandon()
	}
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	defer v.Close()
	mustDo(t, v.MakeTarget())
	_, err = (&nativeTarget{volume: v}).Create(engine.Task{Path: "too large", Size: 1 << 30})
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a file larger than the volume: %v", err)
	}
}

// TestWriteBehind: the kernel may say there what it says nowhere else again.
func TestWriteBehind(t *testing.T) {
	was := syncFileRange
	t.Cleanup(func() { syncFileRange = was })
	s := startVersity(t)
	object := content(1, 9<<20)
	s.put(t, "object", object)
	for _, tt := range []struct {
		err  error
		want wire.Reason
	}{
		{unix.EIO, wire.TransferFailed},
		{unix.ENOSPC, wire.VolumeTooSmall},
		{unix.EDQUOT, wire.VolumeTooSmall},
		{unix.EINVAL, ""},
		{unix.ENOSYS, ""},
	} {
		syncFileRange = func(int, int64, int64, int) error { return tt.err }
		b := newBench(t, s.endpoint)
		b.request.Transfer.Engine = wire.EngineNative
		r := b.run()
		if r.Reason != tt.want || (r.Class == wire.Done) != (tt.want == "") {
			t.Errorf("%v: report is %+v, want %q", tt.err, r, tt.want)
		}
		if r.Class == wire.Done {
			b.mustHold(map[string][]byte{"object": object})
		}
	}
}

// TestAServerThatRepeatsSecrets: what it says is shown, and not what it was told.
func TestAServerThatRepeatsSecrets(t *testing.T) {
	const token = "to/ken+of=the session"
	for _, name := range []string{wire.EngineMC, wire.EngineNative} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			s.put(t, "a", []byte("a"))
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				if keyOf(r) != "a" || r.Method != http.MethodGet {
					r.Header.Del("X-Amz-Security-Token")
					signAnew(r)
					return false
				}
				w.WriteHeader(http.StatusTeapot)
				_, _ = w.Write([]byte("<Error><Code>Odd</Code><Message>" + r.Header.Get("X-Amz-Security-Token") + " " +
					testSecretKey + "</Message></Error>"))
				return true
			})
			b := newBench(t, p.URL)
			b.request.Transfer.Engine = name
			b.secret(map[string]string{"session_token": token})
			r := b.run()
			if r.Class == wire.Done {
				t.Fatalf("the report is %+v", r)
			}
			for what, text := range map[string]string{"report": string(r.Encode()), "log": b.log.String()} {
				mustNotMention(t, what, text)
				if strings.Contains(text, token) {
					t.Errorf("the %s has the session token in it:\n%s", what, text)
				}
			}
			if !strings.Contains(r.Message, "REDACTED") {
				t.Errorf("the message lost what the server said: %s", r.Message)
			}
		})
	}
}

// TestNativeAsksWhereNoAnswerNamesTheObject: an answer without an entity tag may be of any object, and so may its sum.
func TestNativeAsksWhereNoAnswerNamesTheObject(t *testing.T) {
	for _, verify := range []string{"Size", "Checksum"} {
		for operation, run := range map[wire.Operation]func(testing.TB, string) *bench{
			wire.Populate: newBench, wire.Import: newImport,
		} {
			t.Run(string(operation)+" by "+verify, func(t *testing.T) { asksWhereNoAnswerNamesTheObject(t, verify, run) })
		}
	}
}

func asksWhereNoAnswerNamesTheObject(t *testing.T, verify string, run func(testing.TB, string) *bench) {
	t.Helper()
	s := startVersity(t)
	before, after := content(1, 1000), content(2, 1000)
	s.put(t, "dir/a", before)
	var once sync.Once
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || keyOf(r) != "dir/a" {
			return false
		}
		once.Do(func() { s.put(t, "dir/a", after) })
		w.Header().Set("Content-Length", strconv.Itoa(len(after)))
		if verify == "Checksum" {
			sum := binary.BigEndian.AppendUint64(nil, crc64nvme.Checksum(after))
			w.Header().Set("X-Amz-Checksum-Crc64nvme", base64.StdEncoding.EncodeToString(sum))
		}
		_, _ = w.Write(after)
		return true
	})
	b := run(t, p.URL)
	b.request.Transfer = wire.Transfer{Engine: wire.EngineNative, Verify: verify}
	b.request.Source.Include = []string{"**"} // No second listing: the plan is no whole prefix.
	if r := b.run(); r.Reason != wire.SourceChanged {
		t.Errorf("the report is %+v, want %s", r, wire.SourceChanged)
	}
	if got, err := os.ReadFile(filepath.Join(b.paths.Volume, "dir/a")); err == nil && bytes.Equal(got, before) {
		t.Error("the test has not changed the object")
	}
}
