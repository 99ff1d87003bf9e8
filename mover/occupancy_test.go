// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/volume"
	"github.com/s3populator/s3populator/mover/wire"
)

// snapshot is everything on a volume: names, types, modes, sizes, times and contents.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var stat unix.Stat_t
		if err := unix.Lstat(path, &stat); err != nil {
			return err
		}
		text := ""
		if d.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = string(content)
		}
		b.WriteString(strings.Join([]string{path, d.Type().String(), text}, "\x00"))
		for _, n := range []int64{
			int64(stat.Mode), stat.Size, stat.Mtim.Nano(), stat.Ctim.Nano(), int64(stat.Uid), int64(stat.Gid),
		} {
			b.WriteString("\x00" + string(rune(n%1e6)))
		}
		b.WriteString("\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// occupied are volumes with something on them that no mover of this claim wrote.
var occupied = map[string]struct {
	make func(t *testing.T, dir string)
	want []string
}{
	"a file": {func(t *testing.T, dir string) { write(t, dir+"/thesis.tex", "years") }, []string{"thesis.tex"}},
	"five files": {func(t *testing.T, dir string) {
		for _, n := range []string{"a", "b", "c", "d", "e"} {
			write(t, dir+"/"+n, n)
		}
	}, []string{`"`, ", ", ", "}},
	"an empty directory": {
		func(t *testing.T, dir string) { mustDo(t, os.Mkdir(dir+"/empty", 0o755)) }, []string{"empty"},
	},
	"a link": {
		func(t *testing.T, dir string) { mustDo(t, os.Symlink("/etc", dir+"/link")) },
		[]string{"link"},
	},
	"a FIFO": {
		func(t *testing.T, dir string) { mustDo(t, unix.Mkfifo(dir+"/pipe", 0o644)) },
		[]string{"pipe"},
	},
	"a hidden file": {func(t *testing.T, dir string) { write(t, dir+"/.hidden", "x") }, []string{".hidden"}},
	"a file called lost+found": {
		func(t *testing.T, dir string) { write(t, dir+"/lost+found", "x") }, []string{"lost+found"},
	},
	"the right object":              {func(t *testing.T, dir string) { write(t, dir+"/a", "object a") }, []string{`"a"`}},
	"the right name, wrong content": {func(t *testing.T, dir string) { write(t, dir+"/a", "object b") }, []string{`"a"`}},
	"an object and something else": {
		func(t *testing.T, dir string) { write(t, dir+"/a", "object a"); write(t, dir+"/z", "z") },
		[]string{`"z"`},
	},
	"the journal of another claim": {
		func(t *testing.T, dir string) { journalOf(t, dir, "another-claim") },
		[]string{"another claim", `"another-claim"`, "each volume once"},
	},
	"a journal that is none": {
		func(t *testing.T, dir string) { write(t, dir+"/"+ledger.JournalName, "hello\n") },
		[]string{"another claim"},
	},
	"a journal that is a FIFO": {
		func(t *testing.T, dir string) { odd(t, dir, func(p string) error { return unix.Mkfifo(p, 0o644) }) },
		[]string{"another claim"},
	},
	"a journal that is a directory": {
		func(t *testing.T, dir string) { odd(t, dir, func(p string) error { return os.Mkdir(p, 0o755) }) },
		[]string{"another claim"},
	},
	"a journal that is a link": {func(t *testing.T, dir string) {
		odd(t, dir, func(p string) error { return os.Symlink("/etc/passwd", p) })
	}, []string{"another claim"}},
	"something beside no journal": {
		func(t *testing.T, dir string) { write(t, dir+"/"+wire.JournalDir+"/notes", "x") },
		[]string{"notes"},
	},
	"a directory called like what a journal leaves": {
		func(t *testing.T, dir string) { write(t, dir+"/"+ledger.Files[len(ledger.Files)-1]+"/notes", "x") },
		[]string{"unsynced"},
	},
	"a file called like our journal": {
		func(t *testing.T, dir string) { write(t, dir+"/"+wire.JournalDir, "x") },
		[]string{wire.JournalDir},
	},
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func odd(t *testing.T, dir string, create func(path string) error) {
	t.Helper()
	mustDo(t, os.Mkdir(filepath.Join(dir, wire.JournalDir), 0o755))
	mustDo(t, create(filepath.Join(dir, ledger.JournalName)))
}

func journalOf(t *testing.T, dir, claim string) {
	t.Helper()
	v, err := volume.Open(dir, "")
	mustDo(t, err)
	defer v.Close()
	j, err := ledger.TakeOver(v.Root, plan.Header{Claim: claim, Pod: "its-pod", Request: "its-request"})
	mustDo(t, err)
	j.Close()
}

// TestAVolumeThatIsNotOursIsLeftAlone: nothing of it changes, not even a time.
func TestAVolumeThatIsNotOursIsLeftAlone(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	s.put(t, "b", []byte("object b"))
	for name, tt := range occupied {
		for said, as := range map[string]wire.Request{
			"first":                       {Attempt: 1},
			"later":                       {Attempt: 2},
			"later, after one that began": {Attempt: 3, Volume: wire.Volume{Began: true}}, // It completed the volume.
		} {
			if said == "later" && name == "the right object" {
				continue // TestACompleteVolumeWithoutAJournal.
			}
			t.Run(name+", "+said+" attempt", func(t *testing.T) {
				b := newBench(t, s.endpoint)
				tt.make(t, b.paths.Volume)
				before := snapshot(t, b.paths.Volume)
				b.request.Attempt, b.request.Volume.Began = as.Attempt, as.Volume.Began
				r := b.run()
				if r.Reason != wire.VolumeNotEmpty || r.Class != wire.User || r.Began || r.FetchedBytes > 0 {
					t.Errorf("report is %+v, want %s", r, wire.VolumeNotEmpty)
				}
				for _, text := range tt.want {
					if !strings.Contains(r.Message, text) {
						t.Errorf("message lacks %q: %s", text, r.Message)
					}
				}
				if shared := name == "the journal of another claim"; r.Shared != shared {
					t.Errorf("the report says that another claim has the volume: %v, want %v", r.Shared, shared)
				}
				if snapshot(t, b.paths.Volume) != before {
					t.Error("the volume was changed")
				}
			})
		}
	}
}

// TestAnEmptyVolumeIsFilled: what a file system brings along, and what a mover left that was
// killed before its journal was in place, is nothing.
func TestAnEmptyVolumeIsFilled(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	for name, prepare := range map[string]func(t *testing.T, b *bench){
		"empty": func(*testing.T, *bench) {},
		"what the file system brings along": func(t *testing.T, b *bench) {
			for _, d := range []string{"lost+found", ".snapshot", ".snapshots"} {
				write(t, filepath.Join(b.paths.Volume, d, "kept"), "kept")
			}
		},
		"a root with a group of its own": func(t *testing.T, b *bench) {
			mustDo(t, os.Chmod(b.paths.Volume, os.ModeSetgid|0o775))
			mustDo(t, os.Chown(b.paths.Volume, -1, os.Getgid()))
		},
		"the directory of the journal": func(t *testing.T, b *bench) {
			mustDo(t, os.Mkdir(filepath.Join(b.paths.Volume, wire.JournalDir), 0o755))
		},
		"a journal that was half written": func(t *testing.T, b *bench) {
			write(t, filepath.Join(b.paths.Volume, ledger.JournalNext), "s3popu")
		},
		"a target path":   func(_ *testing.T, b *bench) { b.request.Volume.TargetPath = "deep/er" },
		"a later attempt": func(_ *testing.T, b *bench) { b.request.Attempt = 3 },
		"a later attempt, after one began": func(_ *testing.T, b *bench) {
			b.request.Attempt, b.request.Volume.Began = 3, true
		},
		"the journal of an earlier mover": func(t *testing.T, b *bench) {
			b.adopt()
			write(t, filepath.Join(b.paths.Volume, "z"), "left")
		},
		"a torn first attempt of ours": func(t *testing.T, b *bench) {
			b.adopt()
			write(t, filepath.Join(b.paths.Volume, "a"), "obj")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			prepare(t, b)
			r := b.mustBeDone(b.run())
			if !r.Began {
				t.Error("the report does not say that it began")
			}
			if got, err := os.ReadFile(filepath.Join(b.paths.Volume, b.request.Volume.TargetPath, "a")); err != nil ||
				string(got) != "object a" {
				t.Errorf("the object is %q (%v)", got, err)
			}
			if _, err := os.Stat(filepath.Join(b.paths.Volume, "z")); err == nil {
				t.Error("a leftover is still there")
			}
			kept, _ := filepath.Glob(filepath.Join(b.paths.Volume, "*", "kept"))
			if name == "what the file system brings along" && len(kept) < 1 {
				t.Error("a directory of the file system was swept")
			}
		})
	}
}

// TestACompleteVolumeWithoutAJournal: the mover that completed it was killed before its
// report arrived. Only proof by content counts, and nothing is removed.
func TestACompleteVolumeWithoutAJournal(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{"a": []byte("object a"), "d/b": content(2, 70_000), "empty": {}}
	for k, v := range want {
		s.put(t, k, v)
	}
	for at, attempt := range map[string]int{
		"the root": 2, "deep/er": 2, "the root, unseen": 1, "deep/er, unseen": 1, "the root, begun": 3, "deep/er, begun": 3,
	} {
		target := ""
		if strings.HasPrefix(at, "deep") {
			target = "deep/er"
		}
		for name, tt := range map[string]struct {
			change  func(t *testing.T, b *bench, dir string)
			fetched int64
			refused bool
		}{
			"complete": {func(*testing.T, *bench, string) {}, 0, false},
			"complete, compared by size": {
				func(_ *testing.T, b *bench, _ string) { b.request.Transfer.Verify = proof.VerifySize }, 0, false,
			},
			"complete, with other modes": {
				func(_ *testing.T, b *bench, _ string) { b.request.Files.Mode = new(uint32(0o600)) }, -1, false,
			},
			"one is missing":  {func(t *testing.T, _ *bench, dir string) { mustDo(t, os.Remove(dir+"/a")) }, 8, false},
			"one differs":     {func(t *testing.T, _ *bench, dir string) { write(t, dir+"/a", "object b") }, 0, true},
			"one is shorter":  {func(t *testing.T, _ *bench, dir string) { write(t, dir+"/a", "obj") }, 0, true},
			"one is too many": {func(t *testing.T, _ *bench, dir string) { write(t, dir+"/z", "z") }, 0, true},
			"a directory is too many": {
				func(t *testing.T, _ *bench, dir string) { mustDo(t, os.Mkdir(dir+"/x", 0o755)) }, 0, true,
			},
			"compared by size, one differs": {func(t *testing.T, b *bench, dir string) {
				b.request.Transfer.Verify = proof.VerifySize
				write(t, dir+"/a", "object b")
			}, 0, true},
		} {
			t.Run(name+" at "+at, func(t *testing.T) {
				b := newBench(t, s.endpoint)
				b.request.Volume.TargetPath = target
				b.mustBeDone(b.run())
				b.request.Attempt = attempt // The manager may have missed that there was a mover.
				b.request.Volume.Began = attempt == 3
				tt.change(t, b, filepath.Join(b.paths.Volume, target))
				before := snapshot(t, b.paths.Volume)
				r := b.run()
				if tt.refused || attempt != 2 && tt.fetched != 0 {
					if r.Reason != wire.VolumeNotEmpty || snapshot(t, b.paths.Volume) != before {
						t.Errorf("report is %+v, and the volume was left alone: %v", r, snapshot(t, b.paths.Volume) == before)
					}
					if told := strings.Contains(r.Message, "create the claim again"); told != (attempt == 1) {
						t.Errorf("attempt %d says what a mover that nobody saw has left: %v: %s", attempt, told, r.Message)
					}
					return
				}
				b.mustBeDone(r)
				if tt.fetched == 0 && snapshot(t, b.paths.Volume) != before {
					t.Error("a complete volume was written to: it might be in use by now")
				}
				if r.FetchedBytes != max(0, tt.fetched) {
					t.Errorf("fetched %d bytes, want %d", r.FetchedBytes, tt.fetched)
				}
			})
		}
	}
}

// TestACompleteVolumeThatNothingIsToldOf: no manager has seen the mover that completed it, and S3 does not answer the
// next one. Both is said.
func TestACompleteVolumeThatNothingIsToldOf(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a", []byte("object a"))
	b := newBench(t, s.endpoint)
	b.mustBeDone(b.run())
	before := snapshot(t, b.paths.Volume)
	b.request.Source.Endpoint = "http://127.0.0.1:1"
	r := b.run()
	if r.Reason != wire.VolumeNotEmpty || snapshot(t, b.paths.Volume) != before {
		t.Errorf("report is %+v, and the volume was left alone: %v", r, snapshot(t, b.paths.Volume) == before)
	}
	for _, text := range []string{`it holds "a"`, "connection refused", "create the claim again"} {
		if !strings.Contains(r.Message, text) {
			t.Errorf("message lacks %q: %s", text, r.Message)
		}
	}
}

// TestACompleteVolumeWithARestOfAJournal: the mover that completed it was killed while it removed its
// journal. Nobody else would remove the rest.
func TestACompleteVolumeWithARestOfAJournal(t *testing.T) {
	s := startVersity(t)
	s.put(t, "d/b", content(2, 70_000))
	for name, left := range map[string][]string{"its directory": nil, "its files": ledger.Files[1:]} {
		for _, attempt := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s, attempt %d", name, attempt), func(t *testing.T) {
				b := newBench(t, s.endpoint)
				b.mustBeDone(b.run())
				mustDo(t, os.Mkdir(filepath.Join(b.paths.Volume, wire.JournalDir), 0o755))
				for _, file := range left {
					write(t, filepath.Join(b.paths.Volume, file), "")
				}
				b.request.Attempt = attempt
				if r := b.mustBeDone(b.run()); r.FetchedBytes != 0 {
					t.Errorf("%d bytes were fetched again", r.FetchedBytes)
				}
				b.mustHold(map[string][]byte{"d/b": content(2, 70_000)})
			})
		}
	}
}

// TestAFirstAttemptThatCannotCompare refuses what it finds, whatever S3 says.
func TestAFirstAttemptThatCannotCompare(t *testing.T) {
	b := newBench(t, "http://127.0.0.1:"+deafPort(t))
	write(t, b.paths.Volume+"/thesis.tex", "years")
	if r := b.run(); r.Reason != wire.VolumeNotEmpty || !r.Held || !strings.Contains(r.Message, "thesis.tex") {
		t.Errorf("report is %+v, want VolumeNotEmpty", r)
	}
}
