// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// enoughLines of the journal are what a test needs to tell a mover that trusts it from one that
// begins anew: more than half of the objects, which the proxy lets pass and a few more.
const enoughLines = 53

// killed runs a mover behind a proxy that lets only so many bytes of objects pass, waits until
// the journal has something to say, and kills it with SIGKILL, mc included.
func killed(t *testing.T, b *bench, p *proxy, full *atomic.Bool) {
	t.Helper()
	b.options.CheckpointEvery = 20 * time.Millisecond
	cmd := b.spawn()
	journal := filepath.Join(b.paths.Volume, ledger.JournalName)
	waitFor(t, 2*time.Minute, "the proxy is full and the journal has settled", func() bool {
		text, err := os.ReadFile(journal)
		return err == nil && full.Load() && bytes.Count(text, []byte("\n")) > enoughLines && quiet(journal)
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	waitFor(t, time.Minute, "mc died with its wrapper", func() bool { return !running(b.options.MC, b.paths.Scratch) })
	_ = p
}

// settled reports whether the journal has lines and did not grow for a while.
func settled(journal string) bool {
	info, err := os.Stat(journal)
	return err == nil && info.Size() > 200 && quiet(journal)
}

func quiet(file string) bool {
	info, err := os.Stat(file)
	return err == nil && time.Since(info.ModTime()) > 300*time.Millisecond
}

// running reports whether a process of this binary works with this directory.
func running(binary, dir string) bool {
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		exe, _ := os.Readlink(p + "/exe")
		cwd, _ := os.Readlink(p + "/cwd")
		if exe == binary && cwd == dir {
			return true
		}
	}
	return false
}

// throttle lets n objects pass and holds the others until release is closed.
func throttle(t *testing.T, s *s3server, n int64) (p *proxy, full *atomic.Bool, release func()) {
	t.Helper()
	full = new(atomic.Bool)
	open := make(chan struct{})
	var free atomic.Bool
	p = startProxy(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && keyOf(r) != "" && !free.Load() && p.gets.Load() > n {
			full.Store(true)
			select {
			case <-open:
			case <-r.Context().Done():
			}
		}
		return false
	})
	release = func() {
		if !free.Swap(true) {
			close(open)
		}
	}
	t.Cleanup(release)
	return p, full, release
}

func TestAKilledMoverResumes(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 100)
		p, full, release := throttle(t, s, 60)
		b := newBench(t, p.URL)
		killed(t, b, p, full)
		release()
		p.sent.Store(0)
		b.request.Attempt = 2
		r := b.mustBeDone(b.run())
		b.mustHold(want)
		if total := totalSize(want); p.sent.Load() > total/2 || r.FetchedBytes > total/2 {
			t.Errorf(
				"fetched %d bytes again (reported %d) of %d, although 60 of 100 objects had arrived",
				p.sent.Load(),
				r.FetchedBytes,
				total,
			)
		}
	})
}

// TestAResumedVolumeIsNotTrustedBlindly changes everything a crash or an
// administrator may change between two attempts.
func TestAResumedVolumeIsNotTrustedBlindly(t *testing.T) {
	s := startVersity(t)
	want := small(t, s, 100)
	p, full, release := throttle(t, s, 60)
	b := newBench(t, p.URL)
	killed(t, b, p, full)
	release()

	journal := filepath.Join(b.paths.Volume, ledger.JournalName)
	text, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(text), "\n"), "\n")
	verified := func(n int) string { // The path in the nth line.
		l, ok := ledger.ParseJournalled([]byte(strings.TrimSuffix(lines[n], "\n")))
		if !ok {
			t.Fatalf("line %q", lines[n])
		}
		return l.Path
	}
	// The same size, other bytes, in a file that the journal vouches for.
	flipped := verified(1)
	write(t, filepath.Join(b.paths.Volume, flipped), string(content(77, len(want[flipped]))))
	// A truncated one, a missing one, one that is a directory now.
	write(t, filepath.Join(b.paths.Volume, verified(2)), "short")
	if err := os.Remove(filepath.Join(b.paths.Volume, verified(3))); err != nil {
		t.Fatal(err)
	}
	turned := filepath.Join(b.paths.Volume, verified(4))
	if err := os.Remove(turned); err != nil {
		t.Fatal(err)
	}
	write(t, turned+"/x", "x")
	// A file of the right size that nobody vouches for.
	for name, c := range want {
		if _, err := os.Stat(filepath.Join(b.paths.Volume, name)); err != nil {
			write(t, filepath.Join(b.paths.Volume, name), string(content(78, len(c))))
			break
		}
	}
	// An object that is another one now, and one that is gone.
	want[verified(5)] = []byte("changed")
	s.put(t, verified(5), want[verified(5)])
	if err := os.Remove(filepath.Join(s.dir, testBucket, verified(6))); err != nil {
		t.Fatal(err)
	}
	delete(want, verified(6))
	// And a torn last line.
	write(t, journal, strings.Join(lines, "")[:len(strings.Join(lines, ""))-3])

	b.mustBeDone(b.run())
	b.mustHold(want)
}

func TestAnotherSourceDoesNotInheritAVolume(t *testing.T) {
	s := startVersity(t)
	small(t, s, 100)
	p, full, release := throttle(t, s, 60)
	b := newBench(t, p.URL)
	killed(t, b, p, full)
	release()
	s.put(t, "elsewhere/dir/o001", []byte("another object"))
	b.request.Source.Prefix = "elsewhere"
	b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"dir/o001": []byte("another object")})
}

// TestALargeObjectIsNotTakenForComplete kills a mover in the middle of a large
// object, whose file has its final size from the start.
func TestALargeObjectIsNotTakenForComplete(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 20)
		large := content(5, plan.LargeSize+12345)
		s.put(t, "large", large)
		var held atomic.Bool
		p := startProxy(t, s, nil)
		p.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || keyOf(r) != "large" || held.Load() {
				return false
			}
			if !beginRange(w, r, large, 20<<20) {
				return false
			}
			_ = http.NewResponseController(w).Flush()
			held.Store(true)
			<-r.Context().Done()
			return true
		}
		b := newBench(t, p.URL)
		b.options.CheckpointEvery = 20 * time.Millisecond
		cmd := b.spawn()
		journal := filepath.Join(b.paths.Volume, ledger.JournalName)
		waitFor(t, 2*time.Minute, "the large object hangs half way", func() bool { return held.Load() && settled(journal) })
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		want["large"] = large
		b.mustBeDone(b.run())
		b.mustHold(want)
	})
}

// half is a proxy that lets the object "large" pass but for half a step, and then holds the
// answer, or breaks it off. Later requests are served.
func half(t *testing.T, s *s3server, object []byte, hold bool) (p *proxy, stuck *atomic.Bool) {
	t.Helper()
	s.put(t, "large", object)
	stuck = new(atomic.Bool)
	p = startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || keyOf(r) != "large" || stuck.Load() {
			return false
		}
		if !beginRange(w, r, object, len(object)-ledger.PartialStep/2) {
			return false
		}
		_ = http.NewResponseController(w).Flush()
		stuck.Store(true)
		if hold {
			<-r.Context().Done()
		}
		return true
	})
	return p, stuck
}

// killedMidway kills a mover, with a request as it is changed, that has most of a large object.
func killedMidway(t *testing.T, s *s3server, object []byte, changes ...func(*wire.Request)) (*bench, *proxy) {
	t.Helper()
	p, stuck := half(t, s, object, true)
	b := newBench(t, p.URL)
	for _, change := range changes {
		change(&b.request)
	}
	b.options.CheckpointEvery = 20 * time.Millisecond
	cmd := b.spawn()
	journal := filepath.Join(b.paths.Volume, ledger.JournalName)
	waitFor(t, 2*time.Minute, "the journal knows of the beginning, and of a third", func() bool {
		there := noted(journal, "large")
		return stuck.Load() && there.Beginning() > 0 && there.Bytes() >= int64(len(object))-2*plan.LargeSize
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	waitFor(t, time.Minute, "mc died with its wrapper", func() bool { return !running(b.options.MC, b.paths.Scratch) })
	b.request.Attempt = 2
	p.sent.Store(0)
	return b, p
}

func TestALargeObjectGoesOnWhereItWasInterrupted(t *testing.T) {
	bothWays(t, func(t *testing.T) {
		s := startVersity(t)
		want := small(t, s, 20)
		want["large"] = content(5, 3*plan.LargeSize+777)
		b, p := killedMidway(t, s, want["large"])
		r := b.mustBeDone(b.run())
		b.mustHold(want)
		if most := int64(2 * plan.LargeSize); r.FetchedBytes > most || p.sent.Load() > most {
			t.Errorf(
				"fetched %d bytes again (reported %d) of %d, although two thirds had arrived",
				p.sent.Load(),
				r.FetchedBytes,
				len(want["large"]),
			)
		}
	})
}

// TestABeginningIsNotTrusted: bytes that changed on the volume, or an object that is another
// one, cost a transfer of the whole, never a wrong file.
func TestABeginningIsNotTrusted(t *testing.T) {
	object := content(5, 3*plan.LargeSize+777)
	damagedAt := func(t *testing.T, s *s3server, changes ...func(*wire.Request)) {
		t.Helper()
		b, _ := killedMidway(t, s, object, changes...)
		f, err := os.OpenFile(filepath.Join(b.paths.Volume, "large"), os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("damage"), 1000); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		b.mustBeDone(b.run())
		b.mustHold(map[string][]byte{"large": object})
	}
	damaged := func(t *testing.T, changes ...func(*wire.Request)) {
		t.Helper()
		damagedAt(t, startVersity(t), changes...)
	}
	t.Run("damaged on the volume", func(t *testing.T) { damaged(t) })
	t.Run("damaged, and encrypted by a key of KMS", func(t *testing.T) {
		s := *startVersity(t)
		s.endpoint = kms(t, &s, object).URL
		damagedAt(t, &s)
	})
	t.Run("damaged, and compared by size alone", func(t *testing.T) {
		damaged(t, func(r *wire.Request) { r.Transfer.Verify = proof.VerifySize })
	})
	t.Run("overwritten in the bucket", func(t *testing.T) {
		s := startVersity(t)
		b, _ := killedMidway(t, s, object)
		other := content(6, len(object))
		s.put(t, "large", other)
		b.mustBeDone(b.run())
		b.mustHold(map[string][]byte{"large": other})
	})
}

// TestABrokenAnswerGoesOn: within one attempt, too, only the rest is fetched.
func TestABrokenAnswerGoesOn(t *testing.T) {
	s := startVersity(t)
	object := content(5, 3*plan.LargeSize+777)
	p, _ := half(t, s, object, false)
	b := newBench(t, p.URL)
	r := b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"large": object})
	if again := r.FetchedBytes - int64(len(object)); again > plan.LargeSize {
		t.Errorf("%d bytes came twice", again)
	}
	if p.sent.Load() > plan.LargeSize && !isNative() { // Which asks for other ranges at the same time.
		t.Errorf("%d bytes came after the answer broke off, of which half of %d was missing", p.sent.Load(), plan.LargeSize)
	}
}

// TestWhatNobodyVouchesForGivesItsRoomBack: behind the beginning that the journal knows of
// there may be more, which would be counted as taken and as needed.
func TestWhatNobodyVouchesForGivesItsRoomBack(t *testing.T) {
	dir := t.TempDir()
	size := int64(3 * plan.LargeSize)
	write(t, filepath.Join(dir, "large"), string(content(5, int(size))))
	v, err := volume.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if err := v.MakeTarget(); err != nil {
		t.Fatal(err)
	}
	p, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "large", size: size})
	if err != nil {
		t.Fatal(err)
	}
	j, _ := read(t, v, "r")
	tr := transferOf(v, j, &proof.Prover{Plan: p})
	if err := tr.keepRanges(t.Context(), 0, &begunFile{durable: ledger.Extents{{Length: plan.LargeSize}}}); err != nil {
		t.Fatal(err)
	}
	stat, err := v.Stat("large")
	if err != nil {
		t.Fatal(err)
	}
	if taken := stat.Blocks * 512; stat.Size != size || taken > plan.LargeSize+1<<20 {
		t.Errorf("the file has size %d and takes %d bytes, want %d and about %d", stat.Size, taken, size, plan.LargeSize)
	}
	if n, exists := tr.ledger.Present(0); n != plan.LargeSize || !exists {
		t.Errorf("%d bytes count as present, want %d", n, plan.LargeSize)
	}
}
