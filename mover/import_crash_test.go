// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// once calls do when an object is asked for the first time, and answers nothing itself.
func once(key string, do func()) func(http.ResponseWriter, *http.Request) bool {
	var asked atomic.Bool
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && keyOf(r) == key && asked.CompareAndSwap(false, true) {
			do()
		}
		return false
	}
}

func (b *bench) temporaries() (found []string) {
	b.t.Helper()
	mustDo(b.t, filepath.WalkDir(b.paths.Volume, func(path string, _ os.DirEntry, _ error) error {
		if strings.HasPrefix(filepath.Base(path), ".s3populator-run-1-") {
			found = append(found, path)
		}
		return nil // It may be gone by now.
	}))
	return found
}

func (b *bench) mustHaveNoTemporary() {
	b.t.Helper()
	if left := b.temporaries(); len(left) > 0 {
		b.t.Errorf("left are %q", left)
	}
}

// A mover that is killed leaves temporary files, and nothing else that is half done: the next attempt removes
// them, and fetches what is not in its place.
func TestAnImportThatIsKilled(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"large": content(9, 40<<20)}
	s.put(t, "large", want["large"])
	for i := range 120 {
		name := fmt.Sprintf("d%d/f%03d", i%4, i)
		want[name] = content(uint64(i), 20_000+i)
		s.put(t, name, want[name])
	}
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && keyOf(r) == "large" && holds(w, r, want["large"])
	})
	b := newImport(t, p.URL)
	b.request.Transfer.BytesPerSecond = 8 << 20
	b.file("d0/f000", string(content(200, 20_000)))
	b.file("d1/.s3populator-run-1 of the user", "stays")
	b.file("d1/.s3populator-run-10-00000000-1", "of another run")
	kept := map[string][]byte{
		"d1/.s3populator-run-1 of the user": []byte("stays"), "d1/.s3populator-run-10-00000000-1": []byte("of another run"),
	}
	cmd := b.spawn()
	waitFor(t, time.Minute, "files are in place and on their way", func() bool {
		_, err := os.Stat(b.at("d3/f003"))
		return err == nil && len(b.temporaries()) > 0
	})
	mustDo(t, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait()
	if len(b.temporaries()) == 0 {
		t.Fatal("no temporary file was left, so that this test shows nothing")
	}
	proven := int64(0)
	for name, text := range want {
		got, err := os.ReadFile(b.at(name))
		switch {
		case err == nil && bytes.Equal(got, text):
			proven++
		case err == nil && name != "d0/f000":
			t.Errorf("%s has %d bytes of something else", name, len(got))
		}
	}
	again := startProxy(t, s, nil) // What the killed mover has asked for may be looked at late.
	b.request.Source.Endpoint = again.URL
	b.request.Attempt, b.request.Transfer.BytesPerSecond = 2, 0
	r := b.mustBeDone(b.run())
	b.mustHaveNoTemporaryBut(kept)
	maps.Copy(want, kept)
	b.mustHold(want)
	if r.UnchangedObjects != proven || proven == 0 {
		t.Errorf("%d files were in place, and %d were left alone", proven, r.UnchangedObjects)
	}
	ranges := int64(3) // Of the large object.
	if n, most := again.gets.Load(), int64(len(want)-len(kept))-proven+ranges; n > most {
		t.Errorf("%d objects were asked for, and %d were not in place", n, most)
	}
}

func (b *bench) mustHaveNoTemporaryBut(kept map[string][]byte) {
	b.t.Helper()
	for _, path := range b.temporaries() {
		if _, ok := kept[strings.TrimPrefix(path, b.paths.Volume+"/")]; !ok {
			b.t.Errorf("left is %q", path)
		}
	}
}

// A mover that is told to stop takes its temporary files with it.
func TestAnImportThatIsStopped(t *testing.T) {
	s := startVersity(t)
	objects := map[string][]byte{"large": content(9, 64<<20), "small": content(8, 5<<20)}
	for key, text := range objects {
		s.put(t, key, text)
	}
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Method == http.MethodGet && objects[keyOf(r)] != nil && holds(w, r, objects[keyOf(r)])
	})
	b := newImport(t, p.URL)
	b.request.Transfer.BytesPerSecond = 4 << 20
	b.options.IdleTimeout = time.Hour // Nothing but the signal ends it.
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan wire.Report, 1)
	go func() { ended <- b.runContext(ctx) }()
	waitFor(t, time.Minute, "both files are on their way", func() bool { return len(b.temporaries()) == 2 })
	stop(fault.ErrTerminated)
	select {
	case r := <-ended:
		b.mustFailAs(r, wire.Retry, wire.Interrupted)
	case <-time.After(time.Minute):
		t.Fatal("it waits for what S3 does not send")
	}
	b.mustHaveNoTemporary()
}

// holds answers a request for an object, or for a range of it, with the first bytes, and then with nothing more until
// the client is gone.
func holds(w http.ResponseWriter, r *http.Request, object []byte) bool {
	from := 0
	_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
	beginRange(w, r, object, from+4096)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
	return true
}

// lie answers a request for an object of so many bytes, or for a range of it, with other bytes.
func lie(w http.ResponseWriter, r *http.Request, size int) {
	from, to, status := 0, size-1, http.StatusOK
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err == nil {
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
	}
	w.Header().Set("Content-Length", strconv.Itoa(to+1-from))
	w.Header().Set("ETag", tagOf(r))
	w.WriteHeader(status)
	_, _ = w.Write(make([]byte, to+1-from))
}

// Bytes that are not those of the object never come under the name of a file, whatever their number is.
func TestAnImportOfWrongBytes(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"f": content(1, 50_000), "g": content(2, 40<<20)}
	for key, text := range want {
		s.put(t, key, text)
	}
	for name, always := range map[string]bool{"once": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			var lies [2]atomic.Int64
			var told atomic.Int64
			p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				n := strings.Index("fg", keyOf(r))
				if r.Method != http.MethodGet || n < 0 || keyOf(r) == "" || !always && lies[n].Add(1) > 1 {
					return false
				}
				told.Add(1)
				lie(w, r, len(want[keyOf(r)]))
				return true
			})
			b := newImport(t, p.URL)
			before := map[string][]byte{"f": []byte("old"), "g": content(3, 40<<20)}
			for name, text := range before {
				b.file(name, string(text))
			}
			r := b.run()
			b.mustHaveNoTemporary()
			if told.Load() < 2 {
				t.Errorf("%d lies were told", told.Load())
			}
			if always {
				b.mustFailAs(r, wire.Retry, wire.VerificationFailed)
				b.mustHold(before)
				return
			}
			b.mustBeDone(r)
			b.mustHold(want)
		})
	}
}

// A user who replaces a file after it was verified loses to the import once, and is not fought for ever: the
// attempt ends, and counts although files were brought.
func TestAUserWhoWritesTheSameFiles(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"first": content(1, 2000), "last": content(2, 2000)}
	for name, text := range want {
		s.put(t, name, text)
	}
	for name, always := range map[string]bool{"once": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			var b *bench
			var firsts, lasts atomic.Int64
			p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
				switch {
				case r.Method != http.MethodGet:
				case keyOf(r) == "first" && firsts.Add(1) > 1 && always:
					mustDo(t, os.Remove(b.at("last")))
				case keyOf(r) == "last" && (lasts.Add(1) == 1 || always):
					waitFor(t, time.Minute, "the other file is in place", func() bool {
						text, err := os.ReadFile(b.at("first"))
						return err == nil && bytes.Equal(text, want["first"])
					})
					b.file("first", "of the user")
				}
				return false
			})
			b = newImport(t, p.URL)
			r := b.run()
			b.mustHaveNoTemporary()
			if always {
				b.mustFailAs(r, wire.Retry, wire.VerificationFailed, `"first"`, "what else writes")
				return
			}
			b.mustBeDone(r)
			b.mustHold(want)
			if firsts.Load() != 2 || r.UnchangedObjects != 0 {
				t.Errorf("the file was asked for %d times, and the report is %+v", firsts.Load(), r)
			}
		})
	}
}

// A file that its device refuses does not take the place of the one that is there.
func TestWhatTheDeviceRefusesIsNotPublished(t *testing.T) {
	s := startVersity(t)
	b := newImport(t, s.endpoint)
	grow, remount := thinVolume(t, b.paths.Volume, 24, 80)
	before, after := map[string][]byte{}, map[string][]byte{}
	for i := range 10 {
		name := fmt.Sprintf("f%d", i)
		before[name], after[name] = content(uint64(i), 100_000), content(uint64(100+i), 4<<20)
		b.file(name, string(before[name]))
		s.put(t, name, after[name])
	}
	root, err := os.Open(b.paths.Volume)
	mustDo(t, err)
	mustDo(t, unix.Syncfs(int(root.Fd())))
	mustDo(t, root.Close())
	if r := b.run(); r.Class == wire.Done {
		t.Errorf("the report is %+v", r)
	}
	b.mustHaveNoTemporary()
	grow()
	remount()
	olds := 0
	for name := range before {
		text, err := os.ReadFile(b.at(name))
		switch {
		case err != nil:
			t.Error(err)
		case bytes.Equal(text, before[name]):
			olds++
		case !bytes.Equal(text, after[name]):
			t.Errorf("%s has %d bytes that are neither what it had nor what it should have", name, len(text))
		}
	}
	if olds == 0 {
		t.Error("every file was replaced: the device refused nothing")
	}
}
