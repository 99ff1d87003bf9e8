// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// exported exports a small volume with modes that keep everybody out.
func exported(t *testing.T, s *s3server) *bench {
	t.Helper()
	b := newExport(t, s.endpoint)
	b.file("closed/secret", "secret")
	b.file("read-only/sub/file", "file")
	b.file("tool", "tool")
	b.file("plain", "plain")
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	mustDo(t, os.MkdirAll(in("closed/empty"), 0o755))
	mustDo(t, os.Symlink("../tool", in("read-only/link")))
	mustDo(t, os.Chmod(in("closed/secret"), 0))
	mustDo(t, os.Chmod(in("tool"), 0o755|fs.ModeSetuid|fs.ModeSetgid))
	mustDo(t, os.Chmod(in("read-only/sub"), 0o555))
	mustDo(t, os.Chmod(in("read-only"), 0o555))
	mustDo(t, os.Chmod(in("closed"), 0))
	b.mustBeDone(b.run())
	return b
}

// populateAs fills another volume as a user that owns it and may change no owners.
func (b *bench) populateAs(uid int) *bench {
	b.t.Helper()
	p := newBench(b.t, b.request.Source.Endpoint)
	p.request.Source.Prefix = b.request.Source.Prefix
	p.request.Policy = wire.Policy{RestoreAttributes: true}
	mustDo(b.t, os.Chown(p.paths.Volume, uid, uid))
	return p
}

// withoutOwners drops from a tree what a mover that is not root cannot restore: owners, and with them
// the bits that lend the owner's rights.
func withoutOwners(all map[string]string) map[string]string {
	for name, what := range all {
		before, rest, _ := strings.Cut(what, " owner ")
		_, rest, _ = strings.Cut(rest, " ")
		before = strings.Replace(before, "mode 106755", "mode 100755", 1)
		all[name] = before + " " + rest
	}
	return all
}

// Modes that keep the mover itself out are restored, and do not stop an attempt after them.
func TestModesThatKeepTheMoverOut(t *testing.T) {
	testenv.Root(t)
	const uid = 12345
	s := startVersity(t)
	b := exported(t, s)
	want := withoutOwners(tree(t, b.paths.Volume))
	p := b.populateAs(uid)
	code, out := p.runAs(uid)
	if code != 0 || !strings.Contains(out, "owners could not be restored") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	mustBeTree(t, want, p)
	// As after a mover of before there was a mark, which was interrupted while it restored: the journal is still there.
	p.adopt()
	p.giveJournal(uid)
	p.request.Attempt, p.request.Volume.Began = 2, true
	if code, out := p.runAs(uid); code != 0 {
		t.Fatalf("the next attempt: exit code %d:\n%s", code, out)
	}
	mustBeTree(t, want, p)
}

// A mover that may not give files to their owner restores the group, if that is one of its own, and counts the owner.
func TestAGroupWithoutItsOwner(t *testing.T) {
	testenv.Root(t)
	const uid, fsGroup = 12345, 777
	b := newExport(t, startVersity(t).endpoint)
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	for _, name := range []string{"own", "strange"} {
		b.file(name, name)
	}
	mustDo(t, os.Chown(in("own"), 1, uid))
	mustDo(t, os.Chown(in("strange"), 1, 2))
	for _, name := range []string{"own", "strange"} {
		mustDo(t, os.Chmod(in(name), 0o755|fs.ModeSetuid|fs.ModeSetgid))
	}
	b.mustBeDone(b.run())
	p := b.populateAs(uid)
	mustDo(t, os.Chown(p.paths.Volume, uid, fsGroup))
	mustDo(t, os.Chmod(p.paths.Volume, 0o775|fs.ModeSetgid))
	if code, out := p.runAs(uid); code != 0 || !strings.Contains(out, "2 owners could not be restored") {
		t.Fatalf("exit code %d:\n%s", code, out)
	}
	got := tree(t, p.paths.Volume)
	for name, want := range map[string]string{
		"own": "mode 102755 owner 12345:12345 ", "strange": "mode 100755 owner 12345:777 ",
	} {
		if !strings.HasPrefix(got[name], want) {
			t.Errorf("%q is %s, want %s", name, got[name], want)
		}
	}
}

// giveJournal makes the journal that of another user, who has written the volume.
func (b *bench) giveJournal(uid int) {
	b.t.Helper()
	journal := filepath.Join(b.paths.Volume, wire.JournalDir)
	mustDo(b.t, filepath.WalkDir(journal, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, uid)
	}))
}

func mustBeTree(t *testing.T, want map[string]string, p *bench) {
	t.Helper()
	got := withoutOwners(tree(t, p.paths.Volume))
	for name, what := range want {
		if got[name] != what {
			t.Errorf("%q is %s\n   want %s", name, got[name], what)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%q is not wanted", name)
	}
}

// TestAVolumeThatWasFilledWithoutAttributes is not taken for one that was restored: another request completed it.
func TestAVolumeThatWasFilledWithoutAttributes(t *testing.T) {
	s := startVersity(t)
	for name, last := range map[string]func(b *bench){
		"a link":             func(b *bench) { mustDo(t, os.Symlink("a", filepath.Join(b.paths.Volume, "link"))) },
		"an empty directory": func(b *bench) { mustDo(t, os.Mkdir(filepath.Join(b.paths.Volume, "empty"), 0o755)) },
		"times alone":        func(*bench) {},
	} {
		t.Run(name, func(t *testing.T) {
			b := newExport(t, s.endpoint)
			b.request.Source.Prefix = strings.ReplaceAll(name, " ", "-") + "/"
			b.file("a", "a")
			b.settle()
			last(b)
			b.mustBeDone(b.run())
			want := withoutOwners(tree(t, b.paths.Volume))
			for began, reason := range map[bool]wire.Reason{false: "", true: wire.VolumeNotEmpty} {
				p, r := b.populate(func(r *wire.Request) { r.Policy.RestoreAttributes = false })
				p.mustBeDone(r)
				p.request.Policy.RestoreAttributes = true
				p.request.Attempt, p.request.Volume.Began = 2, began
				if r := p.run(); r.Reason != reason {
					t.Errorf("after one that began (%v) the report is %+v, want %q", began, r, reason)
				}
				if began {
					continue
				}
				mustBeTree(t, want, p)
				before := snapshot(t, p.paths.Volume)
				p.request.Attempt, p.request.Volume.Began = 3, true
				if r := p.mustBeDone(p.run()); r.FetchedBytes > 0 || snapshot(t, p.paths.Volume) != before {
					t.Errorf("one that was restored is not taken for that: %+v", r)
				}
			}
		})
	}
}

// What is not as it was exported is taken as it is, and counted.
func TestObjectsThatChangedAfterTheExport(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("b", "b")
	mustDo(t, os.Symlink("a", filepath.Join(b.paths.Volume, "link")))
	mustDo(t, os.Chmod(filepath.Join(b.paths.Volume, "a"), 0o751))
	mustDo(t, os.Chmod(filepath.Join(b.paths.Volume, "b"), 0o751))
	b.mustBeDone(b.run())
	s.put(t, "runs/1/b", []byte("somebody's"))
	s.put(t, "runs/1/link/x", []byte("where a link was"))
	p, r := b.populate(nil)
	p.mustBeDone(r)
	if !strings.Contains(r.Message, "2 entries of the manifest are not as they were exported") {
		t.Errorf("the message is %q", r.Message)
	}
	p.mustHold(map[string][]byte{"a": []byte("a"), "b": []byte("somebody's"), "link/x": []byte("where a link was")})
	for name, want := range map[string]os.FileMode{"a": 0o751, "b": 0o664} {
		if info, err := os.Stat(filepath.Join(p.paths.Volume, name)); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
}

func TestASelectionIsRestored(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	in := func(name string) string { return filepath.Join(b.paths.Volume, name) }
	b.file("data/a.jpg", "a")
	b.file("data/b.txt", "b")
	for _, dir := range []string{"bin/sub", "bin-x", "bin/empty.jpg", "none/sub", "empty"} {
		mustDo(t, os.MkdirAll(in(dir), 0o755))
	}
	for link, target := range map[string]string{
		"data/l.jpg": "a.jpg", "data/l.txt": "b.txt", "bin/sub/l.jpg": "x", "bin-x/l.jpg": "x", "none/sub/l.txt": "x",
	} {
		mustDo(t, os.Symlink(target, in(link)))
	}
	modes := map[string]fs.FileMode{
		"data": 0o750, "bin/sub": 0o710, "bin/empty.jpg": 0o701, "bin": 0o700, "bin-x": 0o711, "none": 0o700,
	}
	for name, mode := range modes {
		mustDo(t, os.Chmod(in(name), mode))
	}
	b.settle()
	b.mustBeDone(b.run())
	all := tree(t, b.paths.Volume)
	p, r := b.populate(func(r *wire.Request) {
		r.Source.Include, r.Volume.TargetPath = []string{"**/*.jpg"}, "in/side"
	})
	p.mustBeDone(r)
	if !strings.Contains(r.Message, "restored 1 files, 5 directories, 3 links") {
		t.Errorf("the message is %q", r.Message)
	}
	got := tree(t, p.paths.Volume)
	for _, name := range []string{
		"data", "data/a.jpg", "data/l.jpg", "bin", "bin/sub", "bin/sub/l.jpg", "bin/empty.jpg", "bin-x", "bin-x/l.jpg",
	} {
		if got["in/side/"+name] != all[name] {
			t.Errorf("%q is %q\n   want %q", name, got["in/side/"+name], all[name])
		}
		delete(got, "in/side/"+name)
	}
	delete(got, "in")
	delete(got, "in/side")
	if len(got) > 0 {
		t.Errorf("not wanted: %v", got)
	}
	// Its report is lost.
	before := snapshot(t, p.paths.Volume)
	p.request.Attempt, p.request.Volume.Began = 2, true
	if r := p.mustBeDone(p.run()); r.FetchedBytes > 0 || snapshot(t, p.paths.Volume) != before {
		t.Errorf("it is not taken for what is selected: %+v", r)
	}
}

// What cannot be restored is refused before the volume is written.
func TestARestoreThatCannotBe(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.mustBeDone(b.run())
	s.put(t, "broken/a", []byte("a"))
	s.put(t, "broken/"+manifest.Key, []byte(`{"schemaVersion":1,"entries":[`))
	s.put(t, "later/a", []byte("a"))
	s.put(t, "later/"+manifest.Key, []byte(`{"schemaVersion":2,"entries":[]}`))
	s.put(t, "none/a", []byte("a"))
	for name, tt := range map[string]struct {
		change func(*wire.Request)
		want   wire.Reason
		text   string
	}{
		"no export": {
			func(r *wire.Request) { r.Source.Prefix = "none/" },
			wire.NoSuchObject,
			"no complete export",
		},
		"half a manifest": {
			func(r *wire.Request) { r.Source.Prefix = "broken/" },
			wire.RequestRejected,
			"cannot be restored",
		},
		"one of a later schema": {
			func(r *wire.Request) { r.Source.Prefix = "later/" },
			wire.RequestRejected,
			"schemaVersion",
		},
		"named objects": {func(r *wire.Request) {
			r.Source.Objects = []wire.Object{{Key: "runs/1/a"}}
		}, wire.RequestRejected, "spec.objects"},
		"half a prefix": {func(r *wire.Request) {
			r.Source.Prefix, r.Source.PrefixMode = "runs/1", "Literal"
		}, wire.RequestRejected, "prefixMode"},
		"a device": {func(r *wire.Request) { r.Volume.Mode = wire.Block }, wire.RequestRejected, "Filesystem"},
	} {
		t.Run(name, func(t *testing.T) {
			p, r := b.populate(tt.change)
			if r.Reason != tt.want || !strings.Contains(r.Message, tt.text) {
				t.Errorf("the report is %+v, want %s with %q", r, tt.want, tt.text)
			}
			if got := tree(t, p.paths.Volume); got["a"] != "" {
				t.Errorf("the volume holds %v", got)
			}
		})
	}
}

// To leave out keys that no volume can hold is not to lose what the manifest lists.
func TestALossIsNotHiddenByAKeyThatIsLeftOut(t *testing.T) {
	s := startVersity(t)
	b := newExport(t, s.endpoint)
	b.file("a", "a")
	b.file("b", "b")
	b.mustBeDone(b.run())
	s.put(t, "runs/1/lost+found/x", nil)
	mustDo(t, s.client.RemoveObject(t.Context(), testBucket, "runs/1/b", minio.RemoveObjectOptions{}))
	_, r := b.populate(func(r *wire.Request) { r.Policy.UnsafeKeys = wire.Skip })
	if r.Reason != wire.SourceChanged || !strings.Contains(r.Message, `"b"`) {
		t.Errorf("the report is %+v, want %s", r, wire.SourceChanged)
	}
}
