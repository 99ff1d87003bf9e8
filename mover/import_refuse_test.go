// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// What an import cannot do it says before it reads or writes anything.
func TestAnImportRefusesWhatItCannotDo(t *testing.T) {
	s := startVersity(t)
	small(t, s, 3)
	for name, test := range map[string]struct {
		change func(*bench)
		reason wire.Reason
		texts  []string
	}{
		"mc": {
			func(b *bench) { b.request.Transfer.Engine = wire.EngineMC },
			wire.RequestRejected,
			[]string{"transfer.engine", "Native"},
		},
		"attributes": {
			func(b *bench) { b.request.Policy.RestoreAttributes = true },
			wire.RequestRejected,
			[]string{"restoreAttributes"},
		},
		"a device": {
			func(b *bench) { b.request.Volume.Mode = wire.Block }, wire.RequestRejected, []string{"Block"},
		},
		"out of it": {
			func(b *bench) { b.request.Volume.TargetPath = "../x" }, wire.MoverBroken, []string{"targetPath"},
		},
		"our directory": {
			func(b *bench) { b.request.Volume.TargetPath = wire.JournalDir }, wire.MoverBroken, []string{"reserved"},
		},
		"a population that did not end": {
			func(b *bench) { unfinished(b, "another-claim") }, wire.VolumeUnfinished, []string{"journal"},
		},
		"a population of this claim": {func(b *bench) { unfinished(b, testClaim) }, wire.VolumeUnfinished, nil},
		"nothing to import": {
			func(b *bench) { b.request.Source.Prefix = "none/" }, wire.SourceEmpty, []string{"onEmpty"},
		},
		"nothing, and everything else is extra": {func(b *bench) {
			b.request.Source.Prefix, b.request.Policy.OnEmpty, b.request.Import.DeleteExtra = "none/", wire.Allow, true
		}, wire.SourceEmpty, []string{"deleteExtra"}},
		"directories alone, and everything else is extra": {func(b *bench) {
			s.put(t, "marked/sub/", nil)
			b.request.Source.Prefix, b.request.Import.DeleteExtra = "marked/", true
		}, wire.SourceEmpty, []string{"deleteExtra"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newImport(t, s.endpoint)
			b.file("of the user", "stays")
			test.change(b)
			before := everything(t, b.paths.Volume)
			b.mustFailAs(b.run(), wire.User, test.reason, test.texts...)
			b.mustBeAsBefore(before)
		})
	}
}

// What is in the place of our directory and no journal is a user's, and in nobody's way.
func TestAnImportBesideWhatIsNoJournal(t *testing.T) {
	s := startVersity(t)
	small(t, s, 1)
	for name, make := range map[string]func(at string) error{
		"a file":               func(at string) error { return os.WriteFile(at, nil, 0o600) },
		"a link that is loose": func(at string) error { return os.Symlink("none", at) },
		"a link that leads out": func(at string) error {
			return os.Symlink("/etc", at)
		},
		"a directory": func(at string) error { return os.MkdirAll(at+"/notes", 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newImport(t, s.endpoint)
			mustDo(t, make(b.at(wire.JournalDir)))
			if r := b.run(); r.Class != wire.Done {
				t.Errorf("the report is %+v", r)
			}
			if _, err := os.Lstat(b.at(wire.JournalDir)); err != nil {
				t.Error(err)
			}
		})
	}
}

func unfinished(b *bench, claim string) {
	b.t.Helper()
	v, err := volume.Open(b.paths.Volume, "")
	mustDo(b.t, err)
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: claim, Pod: "its-pod", Request: "its-request"})
	mustDo(b.t, err)
	j.Close()
}

// everything is what is below a directory, with kinds and contents.
func everything(t testing.TB, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	mustDo(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		found[path] = d.Type().String()
		switch {
		case d.Type()&os.ModeSymlink != 0:
			to, err := os.Readlink(path)
			found[path] += to
			return err
		case d.Type().IsRegular():
			text, err := os.ReadFile(path)
			found[path] += string(text)
			return err
		}
		return nil
	}))
	return found
}

func (b *bench) mustBeAsBefore(before map[string]string) {
	b.t.Helper()
	after := everything(b.t, b.paths.Volume)
	for path, what := range before {
		if after[path] != what {
			b.t.Errorf("%s was changed or is gone", path)
		}
	}
	for path := range after {
		if _, ok := before[path]; !ok {
			b.t.Errorf("%s is new", path)
		}
	}
}

// Links of whoever may write to the volume lead an import nowhere, and what is in the way stays.
func TestAnImportFollowsNoLinkAndReplacesFilesAlone(t *testing.T) {
	s := startVersity(t)
	s.put(t, "dir/sub/file", []byte("of S3"))
	s.put(t, "marker/", nil)
	s.put(t, "zfile", []byte("of S3"))
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "file"), "outside")
	write(t, filepath.Join(outside, "sub/file"), "outside")
	link := func(to, at string) func(*bench) {
		return func(b *bench) {
			mustDo(b.t, os.MkdirAll(filepath.Dir(b.at(at)), 0o755))
			mustDo(b.t, os.Symlink(to, b.at(at)))
		}
	}
	for name, test := range map[string]struct {
		make func(*bench)
		text string
	}{
		"a directory that leads out": {link(outside, "t/dir"), `"t/dir" is a link, where a directory must be`},
		"a directory that leads to another place": {
			func(b *bench) { b.file("other/sub/x", "x"); link("../other", "t/dir")(b) }, `"t/dir" is a link`,
		},
		"a directory that leads nowhere": {link("none", "t/dir/sub"), `"t/dir/sub" is a link`},
		"the target": {
			link(outside, "t"), `3 of the files to import have something in their way: "t" is a link`,
		},
		"a file that leads out":     {link(outside+"/file", "t/zfile"), `"t/zfile" is a link, where a file must be`},
		"a file that leads nowhere": {link("none", "t/zfile"), `"t/zfile" is a link`},
		"a marker that leads out":   {link(outside, "t/marker"), `"t/marker" is a link, where a directory`},
		"a file where a directory must be": {
			func(b *bench) { b.file("t/dir", "x") }, `"t/dir" is a file, where a directory`,
		},
		"a file where the target must be": {
			func(b *bench) { b.file("t", "x") }, `"t" is a file, where a directory`,
		},
		"a file where a marker must be": {func(b *bench) { b.file("t/marker", "x") }, `"t/marker" is a file`},
		"a directory where a file must be": {
			func(b *bench) { b.file("t/zfile/x", "x") }, `"t/zfile" is a directory`,
		},
		"a FIFO where a file must be":      {func(b *bench) { fifo(b, "t/zfile") }, `"t/zfile" is a special file`},
		"a FIFO where a directory must be": {func(b *bench) { fifo(b, "t/dir") }, `"t/dir" is a special file`},
		"a directory deep down that leads out": {
			link(outside+"/sub", "t/dir/sub"), `"t/dir/sub" is a link`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newImport(t, s.endpoint)
			b.request.Volume.TargetPath = "t"
			b.request.Import.DeleteExtra = true
			test.make(b)
			before, away := everything(t, b.paths.Volume), everything(t, outside)
			for b.request.Attempt = 1; b.request.Attempt <= 2; b.request.Attempt++ { // They look for temporary files elsewhere.
				b.mustFailAs(b.run(), wire.User, wire.PathConflict, test.text)
				b.mustBeAsBefore(before)
			}
			after := everything(t, outside)
			if len(after) != len(away) || after[filepath.Join(outside, "sub/file")] != away[filepath.Join(outside, "sub/file")] {
				t.Errorf("outside there is now %v", after)
			}
		})
	}
}

func fifo(b *bench, name string) {
	b.t.Helper()
	mustDo(b.t, os.MkdirAll(filepath.Dir(b.at(name)), 0o755))
	mustDo(b.t, unix.Mkfifo(b.at(name), 0o644))
}

// A directory that becomes a link while files are fetched leads nowhere either.
func TestALinkThatComesInTheWay(t *testing.T) {
	s := startVersity(t)
	s.put(t, "dir/file", []byte("of S3"))
	outside := t.TempDir()
	var b *bench
	p := startProxy(t, s, once("dir/file", func() {
		mustDo(t, os.Rename(b.at("dir"), b.at("moved")))
		mustDo(t, os.Symlink(outside, b.at("dir")))
	}))
	b = newImport(t, p.URL)
	b.file("dir/of the user", "x")
	b.mustFailAs(b.run(), wire.User, wire.PathConflict, `"dir" is a link`)
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("outside there is now %v", left)
	}
	b.mustHaveNoTemporary()
}

func TestAnImportIntoAFullVolume(t *testing.T) {
	s := startVersity(t)
	for i := range 8 {
		s.put(t, string(rune('a'+i)), content(uint64(i), 4<<20))
	}
	t.Run("that has no room for all beside those that they replace", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		loopExt4(t, 60, b.paths.Volume)
		for i := range 8 {
			b.file(string(rune('a'+i)), string(content(uint64(100+i), 4<<20)))
		}
		r := b.run()
		b.mustFailAs(r, wire.User, wire.VolumeTooSmall, "spec.resources.requests.storage", "beside those that they replace")
		if r.RequiredBytes < 64<<20 || r.FetchedBytes != 0 {
			t.Errorf("the report is %+v", r)
		}
	})
	t.Run("that has room for what has changed", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		loopExt4(t, 60, b.paths.Volume)
		for i := range 8 {
			b.file(string(rune('a'+i)), string(content(uint64(i), 4<<20)))
		}
		b.file("a", "changed")
		b.mustBeDone(b.run())
	})
	t.Run("that runs full", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		loopExt4(t, 60, b.paths.Volume)
		b.file("h", "of the user")
		thief := b.at(plan.LostAndFound + "/thief")
		stolen := make(chan struct{})
		p := startProxy(t, s, once("c", func() {
			_ = os.WriteFile(thief, make([]byte, 60<<20), 0o600)
			close(stolen)
		}))
		b.request.Source.Endpoint = p.URL
		r := b.run()
		b.mustFailAs(r, wire.User, wire.VolumeTooSmall, "ran full", "spec.resources.requests.storage")
		if r.RequiredBytes == 0 {
			t.Errorf("the report is %+v", r)
		}
		b.mustHaveNoTemporary()
		if text, err := os.ReadFile(b.at("h")); err != nil || len(text) != 4<<20 && string(text) != "of the user" {
			t.Errorf("the user's file has %d bytes (%v)", len(text), err)
		}
		<-stolen // What is still written takes room without a name, too.
		mustDo(t, os.Remove(thief))
		b.request.Attempt++
		b.mustBeDone(b.run())
	})
}

// A mover that may not write says where, and as whom, before it fetches anything.
func TestAnImportThatMayNotWrite(t *testing.T) {
	testenv.Root(t)
	s := startVersity(t)
	for _, key := range []string{"a/f", "b/f", "c/f", "d/f", "e/f"} {
		s.put(t, key, []byte("of S3"))
	}
	const user = 54321
	t.Run("to directories", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		for _, dir := range []string{"a", "b", "c", "d"} {
			b.file(dir+"/f", "of the user")
		}
		mustDo(t, os.Chown(b.at("a"), user, user))
		code, out := b.runAs(user)
		if code != wire.User.ExitCode() {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		for _, text := range []string{string(wire.VolumeNotWritable), "54321", `4 directories: "b", "c", "d";`} {
			if !strings.Contains(out, text) {
				t.Errorf("it does not say %q:\n%s", text, out)
			}
		}
		if text, _ := os.ReadFile(b.at("a/f")); string(text) != "of the user" {
			t.Errorf("a file is %q now", text)
		}
	})
	t.Run("a file that others could not read then", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		b.request.Source.Prefix = "a/"
		b.file("f", "of another user")
		mustDo(t, os.Chown(b.at("f"), 100, 100))
		mustDo(t, os.Chmod(b.at("f"), 0o640))
		mustDo(t, os.Chown(b.paths.Volume, user, user))
		code, out := b.runAs(user)
		if code != wire.User.ExitCode() || !strings.Contains(out, "belongs to user 100") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		b.mustHold(map[string][]byte{"f": []byte("of another user")})
	})
	t.Run("a file of another user that all may read", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		b.request.Source.Prefix = "a/"
		b.file("f", "of another user")
		mustDo(t, os.Chown(b.at("f"), 100, 100))
		mustDo(t, os.Chown(b.paths.Volume, user, user))
		code, out := b.runAs(user)
		if code != 0 || !strings.Contains(out, "1 files have another owner") {
			t.Errorf("exit code %d:\n%s", code, out)
		}
		b.mustHold(map[string][]byte{"f": []byte("of S3")})
	})
	t.Run("and root keeps owners", func(t *testing.T) {
		b := newImport(t, s.endpoint)
		b.request.Source.Prefix = "a/"
		b.file("f", "of another user")
		mustDo(t, os.Chown(b.at("f"), 100, 200))
		mustDo(t, os.Chmod(b.at("f"), 0o600))
		b.mustBeDone(b.run())
		var is unix.Stat_t
		mustDo(t, unix.Lstat(b.at("f"), &is))
		if is.Uid != 100 || is.Gid != 200 || is.Mode&0o777 != 0o600 {
			t.Errorf("the file is %+v", is)
		}
	})
}
