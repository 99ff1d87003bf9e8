// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// twoPages puts so many small objects that a listing has two pages, and returns them.
func twoPages(t *testing.T, s *s3server) map[string][]byte {
	t.Helper()
	const n = 1100
	want := make(map[string][]byte, n)
	for i := range n {
		want[fmt.Sprintf("dir/o%04d", i)] = content(uint64(i), 2000+i)
	}
	source.Parallel(16, n, func(i int) {
		k := fmt.Sprintf("dir/o%04d", i)
		s.put(t, k, want[k])
	})
	return want
}

// isSecondPage tells that the second page of a listing is asked for.
func isSecondPage(r *http.Request) bool {
	q := r.URL.Query()
	return q.Has("list-type") && q.Get("continuation-token") != ""
}

// earlyBench is of a source whose second page waits until some objects have come, or for as long as late
// says.
func earlyBench(t *testing.T, s *s3server, second func(b *bench, w http.ResponseWriter, r *http.Request) bool) (
	*bench, *proxy,
) {
	t.Helper()
	var b *bench
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		return isSecondPage(r) && second(b, w, r)
	})
	b = newBench(t, p.URL)
	b.request.Transfer.Engine = wire.EngineNative
	return b, p
}

// files counts the regular files below a directory.
func files(t testing.TB, dir string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			n++
		}
	}
	return n
}

// TestObjectsComeWhileTheSourceIsListed, and none of them twice.
func TestObjectsComeWhileTheSourceIsListed(t *testing.T) {
	grace := earlyGrace
	t.Cleanup(func() { earlyGrace = grace })
	earlyGrace = 10 * time.Minute // However busy the machine is, none of them is given up.
	s := startVersity(t)
	want := twoPages(t, s)
	b, p := earlyBench(t, s, func(b *bench, _ http.ResponseWriter, _ *http.Request) bool {
		waitFor(t, time.Minute, "objects before the second page", func() bool {
			return files(t, filepath.Join(b.paths.Volume, "dir")) >= 500
		})
		return false
	})
	r := b.mustBeDone(b.run())
	b.mustHold(want)
	if n := p.gets.Load(); n != int64(len(want)) {
		t.Errorf("%d objects were asked for, want each of %d once", n, len(want))
	}
	if r.FetchedBytes != r.Bytes || !strings.Contains(b.log.String(), "files came while the source was listed") {
		t.Errorf("the report is %+v", r)
	}
}

// TestWhatIsRefusedLaterIsTakenBack: a key of the second page cannot become a file.
func TestWhatIsRefusedLaterIsTakenBack(t *testing.T) {
	for policy, wantReason := range map[string]wire.Reason{wire.Fail: wire.UnsafeKey, wire.Skip: ""} {
		t.Run(policy, func(t *testing.T) {
			s := startVersity(t)
			want := twoPages(t, s)
			b, _ := earlyBench(t, s, func(b *bench, w http.ResponseWriter, r *http.Request) bool {
				waitFor(t, time.Minute, "objects before the second page", func() bool {
					return files(t, filepath.Join(b.paths.Volume, "dir")) >= 10
				})
				return replaced(t, w, s, r, [2]string{"<Key>dir/o1050</Key>", "<Key>dir/o0007/below</Key>"})
			})
			b.request.Policy.UnsafeKeys = policy
			delete(want, "dir/o1050")
			delete(want, "dir/o0007") // Which is a directory now, of an object that does not exist.
			r := b.run()
			if r.Reason != wantReason && policy == wire.Fail {
				t.Fatalf("the report is %+v, want %s", r, wantReason)
			}
			if policy == wire.Fail {
				if n := files(t, filepath.Join(b.paths.Volume, "dir")); n > 0 {
					t.Errorf("%d files are left of a source that was refused", n)
				}
				return
			}
			if r.Reason != wire.SourceChanged {
				t.Fatalf("the report is %+v, want %s of what is not there", r, wire.SourceChanged)
			}
			if _, err := os.Stat(filepath.Join(b.paths.Volume, "dir/o0007")); err == nil {
				if info, _ := os.Stat(filepath.Join(b.paths.Volume, "dir/o0007")); !info.IsDir() {
					t.Error("a file is where the plan has a directory")
				}
			}
		})
	}
}

// replaced answers a listing with the first text in it replaced by the second.
func replaced(t *testing.T, w http.ResponseWriter, s *s3server, r *http.Request, of [2]string) bool {
	t.Helper()
	request := r.Clone(t.Context())
	request.RequestURI, request.URL.Scheme, request.URL.Host = "", "http", strings.TrimPrefix(s.endpoint, "http://")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Error(err)
		return false
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || !bytes.Contains(text, []byte(of[0])) {
		t.Errorf("the listing is %s (%v)", text, err)
	}
	w.Header().Set("Content-Type", "application/xml")
	_, _ = w.Write(bytes.Replace(text, []byte(of[0]), []byte(of[1]), 1))
	return true
}

// TestAFencedMoverFetchesNoMore: it ends, though S3 never answers its listing, and writes nothing afterwards.
func TestAFencedMoverFetchesNoMore(t *testing.T) {
	s := startVersity(t)
	twoPages(t, s)
	taken := make(chan struct{})
	isTaken := sync.OnceFunc(func() { close(taken) })
	b, p := earlyBench(t, s, func(b *bench, _ http.ResponseWriter, r *http.Request) bool {
		waitFor(t, time.Minute, "a few objects", func() bool { return files(t, filepath.Join(b.paths.Volume, "dir")) >= 3 })
		takenOver(t, b.paths.Volume)
		isTaken()
		<-r.Context().Done()
		return true
	})
	// One object at a time, so that all of the first page take longer than the mover is given.
	const slowly = 100 * time.Millisecond
	turn := make(chan struct{}, 1)
	listing := p.fault
	p.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || keyOf(r) == "" {
			return listing(w, r)
		}
		select {
		case turn <- struct{}{}:
			time.Sleep(slowly) //nolint:forbidigo // As a slow server does.
			<-turn
		case <-r.Context().Done():
		}
		return false
	}
	b.options.CheckpointEvery, b.options.IdleTimeout = 20*time.Millisecond, 10*time.Minute
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if r := b.runContext(ctx); r.Reason != wire.Fenced {
		t.Fatalf("the report is %+v, want %s", r, wire.Fenced)
	}
	<-taken // The mover may end before who takes the volume over is done.
	ended := files(t, filepath.Join(b.paths.Volume, "dir"))
	time.Sleep(10 * slowly) //nolint:forbidigo // While what is on its way would come.
	if n := files(t, filepath.Join(b.paths.Volume, "dir")); n != ended || n >= 1000 {
		t.Errorf("%d files were on the volume when the mover had ended, and %d are there in the end", ended, n)
	}
}

// TestAMoverThatIsFencedWhileItListsWritesNothing, neither before the listing is at its end nor then: the
// volume may be complete, and in use.
func TestAMoverThatIsFencedWhileItListsWritesNothing(t *testing.T) {
	s := startVersity(t)
	twoPages(t, s)
	for _, prefix := range []string{"dir/o10", ""} { // 100 objects, all at once, and two pages.
		for how, lose := range map[string]func(t *testing.T, volume string){
			"taken over": takenOver,
			"completed": func(t *testing.T, volume string) {
				if err := os.RemoveAll(filepath.Join(volume, wire.JournalDir)); err != nil {
					t.Error(err)
				}
			},
		} {
			t.Run(how+" while it lists "+prefix, func(t *testing.T) {
				var b *bench
				var once sync.Once
				p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					if r.URL.Query().Has("list-type") {
						once.Do(func() { lose(t, b.paths.Volume) })
					}
					return false
				})
				b = newBench(t, p.URL)
				b.request.Transfer.Engine = wire.EngineNative
				b.request.Source.Prefix, b.request.Source.PrefixMode = prefix, plan.LiteralPrefix
				b.options.CheckpointEvery = time.Hour // The guard never looks.
				if r := b.run(); r.Reason != wire.Fenced {
					t.Errorf("the report is %+v, want %s", r, wire.Fenced)
				}
				left, err := os.ReadDir(b.paths.Volume)
				if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != wire.JournalDir {
					t.Errorf("the volume of another mover holds %v (%v)", left, err)
				}
			})
		}
	}
}

// TestWhatComesEarlyReplacesNothing: between two looks at the journal another mover has completed the volume, and
// a pod has written to it.
func TestWhatComesEarlyReplacesNothing(t *testing.T) {
	const mine, page = "what a pod wrote", 100
	from := earlyFrom
	t.Cleanup(func() { earlyFrom = from })
	earlyFrom = page
	s := startVersity(t)
	for i := range 3 * page {
		s.put(t, fmt.Sprintf("dir/o%04d", i), content(uint64(i), 2000+i))
	}
	var b *bench
	var pages atomic.Int64
	p := startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		q := r.URL.Query()
		if !q.Has("list-type") {
			return false
		}
		q.Set("max-keys", strconv.Itoa(page))
		r.URL.RawQuery = q.Encode()
		signAnew(r)
		switch pages.Add(1) {
		case 2:
			waitFor(t, time.Minute, "a page", func() bool { return files(t, filepath.Join(b.paths.Volume, "dir")) == page })
			for i := page; i < 3*page; i++ {
				write(t, filepath.Join(b.paths.Volume, fmt.Sprintf("dir/o%04d", i)), mine)
			}
			if err := os.RemoveAll(filepath.Join(b.paths.Volume, wire.JournalDir)); err != nil {
				t.Error(err)
			}
		case 3:
			time.Sleep(time.Second) //nolint:forbidigo // While the objects of the second page would come.
		}
		return false
	})
	b = newBench(t, p.URL)
	b.request.Transfer.Engine = wire.EngineNative
	b.options.CheckpointEvery = time.Hour
	if r := b.run(); r.Reason != wire.Fenced {
		t.Errorf("the report is %+v, want %s", r, wire.Fenced)
	}
	for i := page; i < 3*page; i++ {
		name := fmt.Sprintf("dir/o%04d", i)
		if got, err := os.ReadFile(filepath.Join(b.paths.Volume, name)); err != nil || string(got) != mine {
			t.Fatalf("%s holds %.40q (%v)", name, got, err)
		}
	}
}

// takenOver makes a volume the next mover's.
func takenOver(t *testing.T, dir string) {
	t.Helper()
	v, err := volume.Open(dir, "")
	if err != nil {
		t.Error(err)
		return
	}
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: testClaim, Pod: "next-pod", Request: "r"})
	if err != nil {
		t.Error(err)
		return
	}
	j.Close()
}

// TestWrongBytesThatComeEarly are not what is on the volume in the end.
func TestWrongBytesThatComeEarly(t *testing.T) {
	s := startVersity(t)
	want := twoPages(t, s)
	var wrong atomic.Int64
	b, p := earlyBench(t, s, func(*bench, http.ResponseWriter, *http.Request) bool {
		waitFor(t, time.Minute, "the wrong bytes", func() bool { return wrong.Load() > 0 })
		return false
	})
	second := p.fault
	p.fault = func(w http.ResponseWriter, r *http.Request) bool {
		key := keyOf(r)
		if r.Method != http.MethodGet || key != "dir/o0003" || wrong.Add(1) > 1 {
			return second(w, r)
		}
		w.Header().Set("ETag", tagOf(r))
		w.Header().Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		_, _ = w.Write(content(99, len(want[key])))
		return true
	}
	b.mustBeDone(b.run())
	b.mustHold(want)
	if wrong.Load() < 2 {
		t.Error("the object did not come again")
	}
}

// TestARefusedWriteThatComesEarlyIsNotBelieved: the file has its size and, in memory, its bytes. Nothing that
// was written is believed once the device refused some of it.
func TestARefusedWriteThatComesEarlyIsNotBelieved(t *testing.T) {
	was := syncFileRange
	t.Cleanup(func() { syncFileRange = was })
	var refused, gets atomic.Int64
	syncFileRange = func(int, int64, int64, int) error {
		if refused.Add(1) == 1 {
			return unix.EIO
		}
		return nil
	}
	s := startVersity(t)
	want := twoPages(t, s)
	want["dir/o0001"] = content(7, writeBehind) // With its last byte, the kernel is told to begin to write it.
	s.put(t, "dir/o0001", want["dir/o0001"])
	b, p := earlyBench(t, s, func(*bench, http.ResponseWriter, *http.Request) bool {
		waitFor(t, time.Minute, "the refusal", func() bool { return refused.Load() > 0 })
		return false
	})
	second := p.fault
	p.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && keyOf(r) == "dir/o0001" {
			gets.Add(1)
		}
		return second(w, r)
	}
	b.mustBeDone(b.run())
	b.mustHold(want)
	if n := gets.Load(); n != 2 {
		t.Errorf("the object was asked for %d times, want another time after the refusal", n)
	}
}

// TestAStallIsNotWaitedFor: what hangs when the listing is at its end is fetched again.
func TestAStallIsNotWaitedFor(t *testing.T) {
	s := startVersity(t)
	want := twoPages(t, s)
	var stalls atomic.Int64
	b, p := earlyBench(t, s, func(*bench, http.ResponseWriter, *http.Request) bool {
		waitFor(t, time.Minute, "the stall", func() bool { return stalls.Load() > 0 })
		return false
	})
	second := p.fault
	p.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || keyOf(r) != "dir/o0003" || stalls.Add(1) > 1 {
			return second(w, r)
		}
		<-r.Context().Done()
		return true
	}
	start := time.Now()
	b.options.IdleTimeout = 10 * time.Minute
	b.mustBeDone(b.run())
	b.mustHold(want)
	if took := time.Since(start); took > b.options.IdleTimeout/2 {
		t.Errorf("it took %s", took)
	}
}
