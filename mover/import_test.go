// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// newImport prepares an import of run-1 into a volume that somebody uses.
func newImport(t testing.TB, endpoint string) *bench {
	t.Helper()
	b := newBench(t, endpoint)
	b.request.Operation, b.request.Transfer = wire.Import, wire.Transfer{}
	b.request.Import = wire.ImportOptions{Run: "run-1"}
	return b
}

// mustFailAs checks the report of an attempt that changes nothing, or nothing more.
func (b *bench) mustFailAs(r wire.Report, class wire.Class, reason wire.Reason, texts ...string) {
	b.t.Helper()
	if r.Class != class || r.Reason != reason {
		b.t.Errorf("the report is %+v, want %s %s\n%s", r, class, reason, b.log.String())
	}
	for _, text := range texts {
		if !strings.Contains(r.Message, text) {
			b.t.Errorf("the message lacks %q: %s", text, r.Message)
		}
	}
}

func (b *bench) at(name string) string { return filepath.Join(b.paths.Volume, name) }

func (b *bench) mode(name string) fs.FileMode {
	b.t.Helper()
	info, err := os.Lstat(b.at(name))
	mustDo(b.t, err)
	return info.Mode().Perm()
}

func TestAnImportBringsFilesBesideThoseOfUsers(t *testing.T) {
	eachServer(t, func(t *testing.T, s *s3server) {
		s.put(t, "models/same", []byte("the same"))
		s.put(t, "models/changed", []byte("the new one"))
		s.put(t, "models/new/deep/file", []byte("new"))
		s.put(t, "models/empty", nil)
		large := content(3, 70<<20+5)
		s.putParts(t, "models/large", large, 16<<20)
		b := newImport(t, s.endpoint)
		b.request.Source.Prefix, b.request.Volume.TargetPath = "models", "data/beta"
		b.file("data/beta/same", "the same")
		b.file("data/beta/changed", "the old one")
		b.file("data/beta/of the user", "stays")
		b.file("elsewhere/changed", "stays, too")
		b.file(".s3populator-run-2-00000000-1", "of another run")
		mustDo(t, os.Chmod(b.at("data/beta/changed"), 0o640))
		before, err := os.Stat(b.at("data/beta/same"))
		mustDo(t, err)
		r := b.mustBeDone(b.run())
		b.mustHold(map[string][]byte{
			"data/beta/same": []byte("the same"), "data/beta/changed": []byte("the new one"),
			"data/beta/new/deep/file": []byte("new"), "data/beta/empty": {}, "data/beta/large": large,
			"data/beta/of the user": []byte("stays"), "elsewhere/changed": []byte("stays, too"),
			".s3populator-run-2-00000000-1": []byte("of another run"),
		})
		if after, err := os.Stat(b.at("data/beta/same")); err != nil || !os.SameFile(before, after) {
			t.Errorf("a file that was right already is another now (%v)", err)
		}
		if changed, fresh := b.mode("data/beta/changed"), b.mode("data/beta/new/deep/file"); changed != 0o640 ||
			fresh != 0o664 {
			t.Errorf("the modes are %o and %o", changed, fresh)
		}
		if r.Objects != 5 || r.UnchangedObjects != 1 || r.FetchedBytes != int64(len(large))+14 ||
			r.Engine != wire.EngineNative {
			t.Errorf("the report is %+v", r)
		}
		if r.Began || r.Held || !r.Progressed || !strings.Contains(r.Message, "1 unchanged") {
			t.Errorf("the report is %+v", r)
		}
	})
}

// What the same source gives a population and an import has one digest.
func TestAnImportHasTheDigestOfAPopulation(t *testing.T) {
	s := startVersity(t)
	small(t, s, 3)
	p := newBench(t, s.endpoint)
	b := newImport(t, s.endpoint)
	want := p.mustBeDone(p.run()).ManifestDigest
	if got := b.mustBeDone(b.run()).ManifestDigest; got != want {
		t.Errorf("the digest is %s, want %s", got, want)
	}
}

// A refresh fetches what has changed, whatever the sizes are, and however an import is verified.
func TestARefreshFetchesWhatHasChanged(t *testing.T) {
	s := startVersity(t)
	want := small(t, s, 20)
	p := startProxy(t, s, nil)
	b := newImport(t, p.URL)
	b.mustBeDone(b.run())
	b.mustHold(want)
	for n, verify := range []string{"Checksum", "Size"} {
		b.request.Import.Run, b.request.Transfer.Verify = fmt.Sprintf("run-%d", n+2), verify
		want["dir/o003"] = content(uint64(100+n), len(want["dir/o003"]))
		s.put(t, "dir/o003", want["dir/o003"])
		b.file("dir/o007", string(content(99, len(want["dir/o007"])))) // A user broke this one.
		p.gets.Store(0)
		r := b.mustBeDone(b.run())
		b.mustHold(want)
		if p.gets.Load() != 2 || r.UnchangedObjects != 18 || r.SizeOnlyObjects != int64(2*n) {
			t.Errorf("%s: %d objects were asked for, and the report is %+v", verify, p.gets.Load(), r)
		}
		p.gets.Store(0)
		if r := b.mustBeDone(b.run()); p.gets.Load() != 0 || r.UnchangedObjects != 20 || r.Progressed {
			t.Errorf("%s: %d objects were asked for, and the report is %+v", verify, p.gets.Load(), r)
		}
	}
}

// One object may become a file of any name.
func TestOneObjectBecomesAFile(t *testing.T) {
	s := startVersity(t)
	s.put(t, "models/v7.bin", []byte("seven"))
	b := newImport(t, s.endpoint)
	b.request.Source.Objects = []wire.Object{{Key: "models/v7.bin", Path: strings.Repeat("n", 255)}}
	b.request.Volume.TargetPath = "current"
	b.file("current/"+strings.Repeat("n", 255), "six")
	b.mustBeDone(b.run())
	b.mustHold(map[string][]byte{"current/" + strings.Repeat("n", 255): []byte("seven")})
}

// Whoever reads a file while it is replaced has the one before or the one after, and it is never missing.
func TestReadersNeverSeeHalfAFile(t *testing.T) {
	s := startVersity(t)
	const files = 150
	before, after := map[string][]byte{}, map[string][]byte{}
	for i := range files {
		name := fmt.Sprintf("d%d/f%d", i%5, i)
		before[name], after[name] = content(uint64(i), 30_000+i), content(uint64(1000+i), 40_000+i)
		s.put(t, name, after[name])
	}
	before["large"], after["large"] = content(7, 40<<20), content(8, 40<<20)
	s.put(t, "large", after["large"])
	b := newImport(t, s.endpoint)
	for name, text := range before {
		b.file(name, string(text))
	}
	b.request.Transfer.BytesPerSecond = 30 << 20
	var stop atomic.Bool
	problems, begun := make(chan string, 1), make(chan struct{})
	begins := sync.OnceFunc(func() { close(begun) })
	var reads, fresh int
	go func() {
		defer close(problems)
		defer begins()
		for last := false; ; {
			for name := range before {
				text, err := os.ReadFile(b.at(name))
				reads++
				begins()
				switch {
				case err != nil:
					problems <- err.Error()
					return
				case bytes.Equal(text, after[name]):
					fresh++
				case !bytes.Equal(text, before[name]):
					problems <- fmt.Sprintf("%s has %d bytes of neither", name, len(text))
					return
				}
			}
			if last {
				return
			}
			last = stop.Load()
		}
	}()
	<-begun
	r := b.run()
	stop.Store(true)
	for p := range problems {
		t.Errorf("a reader saw this: %s", p)
	}
	b.mustBeDone(r)
	b.mustHold(after)
	if reads < 2*len(before) || fresh < len(before) || fresh == reads {
		t.Errorf("%d reads, %d of them of new files: the reader was not there while files were replaced", reads, fresh)
	}
}

// Modes and owners of spec.files are for new files and directories.
func TestNewFilesHaveTheModesOfTheRequest(t *testing.T) {
	s := startVersity(t)
	s.put(t, "new/file", []byte("new"))
	s.put(t, "old/file", []byte("new"))
	b := newImport(t, s.endpoint)
	mode, dirMode := uint32(0o600), uint32(0o750)
	b.request.Files = wire.Files{Mode: &mode, DirMode: &dirMode}
	b.file("old/file", "old")
	mustDo(t, os.Chmod(b.at("old/file"), 0o444))
	mustDo(t, os.Chmod(b.at("old"), 0o711))
	b.mustBeDone(b.run())
	for name, want := range map[string]fs.FileMode{"new": 0o750, "new/file": 0o600, "old": 0o711, "old/file": 0o444} {
		if got := b.mode(name); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}
