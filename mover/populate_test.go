// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// content makes n bytes that only this seed makes.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = r.Read(b)
	return b
}

// oddNames are legal names that tools trip over.
var oddNames = []string{
	"sp ace", "tab\there", "new\nline", "ümläut", "日本語", "u\u0308", "100%25", "%41", "plus+plus",
	"-rf", "--help", "#hash", "q?mark", "star*", "[a]{b}",
	"back\\slash", `"quoted"`, "it's", "$HOME", "`id`", "a&b;c|d", ".hidden", "..more", "trailing.", " leading",
	"trailing ", "a:b", "~tilde", "a=b,c", "x.part.minio",
}

func TestPopulateOddKeys(t *testing.T) {
	s := startVersity(t)
	want := map[string][]byte{}
	for i, n := range oddNames {
		for _, name := range []string{n, "dir " + n + "/" + n} {
			want[name] = content(uint64(i), 100+i)
			s.put(t, "pre/"+name, want[name])
		}
	}
	for how, source := range map[string]func(*wire.Source){
		"with mirror":  func(*wire.Source) {},
		"with streams": func(src *wire.Source) { src.Include = []string{"**"} },
	} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			b.request.Source.Prefix = "pre"
			source(&b.request.Source)
			if how == "with mirror" {
				forceMirror(t)
			}
			r := b.mustBeDone(b.run())
			b.mustHold(want)
			if r.Objects != int64(len(want)) {
				t.Errorf("report counts %d objects, want %d", r.Objects, len(want))
			}
		})
	}
}

// forceMirror makes a test's transfer use mc mirror however few files there are.
func forceMirror(t *testing.T) {
	t.Helper()
	before := fewFiles
	fewFiles = 0
	t.Cleanup(func() { fewFiles = before })
}

func TestPopulateSelections(t *testing.T) {
	s := startVersity(t)
	for _, k := range []string{
		"imagenet/a.jpg", "imagenet/b.txt", "imagenet/sub/c.jpg", "imagenet/tmp/d.jpg", "imagenet2/e.jpg", "imagenet",
		"other/f",
	} {
		if k == "imagenet" {
			continue // VersityGW keeps objects as files and cannot hold this one.
		}
		s.put(t, k, []byte("content of "+k))
	}
	s.put(t, "imagenet/empty/", nil)
	s.put(t, "imagenet/zero", nil)
	of := func(k string) []byte { return []byte("content of " + k) }
	for name, tt := range map[string]struct {
		change func(*wire.Request)
		want   map[string][]byte
	}{
		"a prefix is a directory": {
			func(r *wire.Request) { r.Source.Prefix = "imagenet" },
			map[string][]byte{
				"a.jpg": of("imagenet/a.jpg"), "b.txt": of("imagenet/b.txt"), "sub/c.jpg": of("imagenet/sub/c.jpg"),
				"tmp/d.jpg": of("imagenet/tmp/d.jpg"), "empty/": nil, "zero": {},
			},
		},
		"a literal prefix is just that": {
			func(r *wire.Request) {
				r.Source.Prefix, r.Source.PrefixMode, r.Source.Exclude = "imagenet", "Literal", []string{"imagenet/**"}
			},
			map[string][]byte{"imagenet2/e.jpg": of("imagenet2/e.jpg")},
		},
		"globs select": {
			func(r *wire.Request) {
				r.Source.Prefix, r.Source.Include, r.Source.Exclude = "imagenet/", []string{"**/*.jpg"}, []string{"tmp/**"}
			},
			map[string][]byte{"a.jpg": of("imagenet/a.jpg"), "sub/c.jpg": of("imagenet/sub/c.jpg")},
		},
		"named objects go where they are told": {
			func(r *wire.Request) {
				r.Source.Objects = []wire.Object{{Key: "imagenet/a.jpg", Path: "x/y z"}, {Key: "other/f"}, {Key: "imagenet/zero"}}
			},
			map[string][]byte{"x/y z": of("imagenet/a.jpg"), "other/f": of("other/f"), "imagenet/zero": {}},
		},
		"a target path": {
			func(r *wire.Request) { r.Source.Prefix, r.Volume.TargetPath = "other", "deep/er" },
			map[string][]byte{"deep/er/f": of("other/f")},
		},
		"a whole bucket": {
			func(r *wire.Request) { r.Source.Exclude = []string{"imagenet/**"} },
			map[string][]byte{"imagenet2/e.jpg": of("imagenet2/e.jpg"), "other/f": of("other/f")},
		},
		"nothing, when that is allowed": {
			func(r *wire.Request) { r.Source.Prefix, r.Policy.OnEmpty = "nothing", wire.Allow },
			map[string][]byte{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, s.endpoint)
			tt.change(&b.request)
			b.mustBeDone(b.run())
			b.mustHold(tt.want)
		})
	}
}

// TestPopulateMany is the everyday case: many small files, some large ones,
// in one run of mirror beside streams.
func TestPopulateMany(t *testing.T) {
	s := startVersity(t)
	want := manyObjects(t, s, 2000)
	big := content(7, 256<<20)
	s.putParts(t, "set/big.bin", big, 16<<20)
	want["big.bin"] = big
	b := newBench(t, s.endpoint)
	b.request.Source.Prefix = "set"
	r := b.mustBeDone(b.run())
	b.mustHold(want)
	if !strings.Contains(b.log.String(), "1 by multipart MD5") && !isNative() { // Which takes the checksum.
		t.Errorf("the large object was not verified by its parts:\n%s", b.log.String())
	}
	if total := totalSize(want); r.FetchedBytes != total || r.Bytes != total {
		t.Errorf("fetched %d of %d bytes, want %d", r.FetchedBytes, r.Bytes, total)
	}
	t.Run("files are readable and writable for the group", func(t *testing.T) { mustHaveModes(t, b.paths.Volume) })
	t.Run("a filter gives the same bytes by another way", func(t *testing.T) {
		b := newBench(t, s.endpoint)
		b.request.Source.Prefix, b.request.Source.Exclude = "set", []string{"big.bin"}
		delete(want, "big.bin")
		b.mustBeDone(b.run())
		b.mustHold(want)
	})
}

// manyObjects fills the server's directory with objects below set/, as files,
// which VersityGW serves without an entity tag of its own making; so they are
// uploaded.
func manyObjects(t *testing.T, s *s3server, n int) map[string][]byte {
	t.Helper()
	want := make(map[string][]byte, n)
	for i := range n {
		name := fmt.Sprintf("d%02d/e%d/file-%05d", i%40, i%3, i)
		size := i * 37 % 20000
		if i%50 == 0 {
			size = 0
		}
		want[name] = content(uint64(i), size)
	}
	names := make([]string, 0, n)
	for name := range want {
		names = append(names, name)
	}
	source.Parallel(8, n, func(i int) { s.put(t, "set/"+names[i], want[names[i]]) })
	return want
}

func totalSize(files map[string][]byte) int64 {
	n := int64(0)
	for _, b := range files {
		n += int64(len(b))
	}
	return n
}

func mustHaveModes(t *testing.T, volume string) {
	err := filepath.WalkDir(volume, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == volume {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if want := map[bool]os.FileMode{true: 0o775, false: 0o664}[d.IsDir()]; info.Mode().Perm() != want {
			return fmt.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPopulateClearsTheVolume is about what was there before: nothing may
// survive that the source does not have, and nothing may be followed.
func TestPopulateClearsTheVolume(t *testing.T) {
	s := startVersity(t)
	s.put(t, "a/b", []byte("right"))
	s.put(t, "c", []byte("right too"))
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Join(outside, "b"), "wrong")
	b := newBench(t, s.endpoint)
	v := b.paths.Volume
	for link, to := range map[string]string{"a": outside, "c": filepath.Join(outside, "b"), "link": "/etc"} {
		if err := os.Symlink(to, filepath.Join(v, link)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(v, "0f8fad5b-d9cb-469f-a165-70867728950e"), "a temporary file of mc")
	write(t, filepath.Join(v, "junk/deep/er"), "junk")
	write(t, filepath.Join(v, "lost+found/#123"), "kept")
	b.adopt()
	b.mustBeDone(b.run())
	if got, err := os.ReadFile(filepath.Join(outside, "b")); err != nil || string(got) != "wrong" {
		t.Fatalf("a file outside the volume is now %q (%v)", got, err)
	}
	b.mustHold(map[string][]byte{"a/b": []byte("right"), "c": []byte("right too"), "lost+found/#123": []byte("kept")})
}

func TestPopulateReplacesWrongBytes(t *testing.T) {
	for name, how := range map[string]func(*testing.T, *bench){
		"with mirror":  func(t *testing.T, _ *bench) { forceMirror(t) },
		"with streams": func(*testing.T, *bench) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := startVersity(t)
			want := map[string][]byte{
				"same-size": content(1, 5000),
				"truncated": content(2, 5000),
				"right":     content(3, 5000),
				"dir":       content(4, 10),
			}
			for k, v := range want {
				s.put(t, k, v)
			}
			b := newBench(t, s.endpoint)
			how(t, b)
			write(t, filepath.Join(b.paths.Volume, "same-size"), string(content(9, 5000)))
			write(t, filepath.Join(b.paths.Volume, "truncated"), string(want["truncated"][:4000]))
			write(t, filepath.Join(b.paths.Volume, "right"), string(want["right"]))
			write(t, filepath.Join(b.paths.Volume, "dir/file"), "a directory where a file belongs")
			b.adopt()
			r := b.mustBeDone(b.run())
			b.mustHold(want)
			if r.FetchedBytes != 10010 {
				t.Errorf("fetched %d bytes, want those of three files", r.FetchedBytes)
			}
		})
	}
}

func TestInventoryTouchesNoVolume(t *testing.T) {
	s := startVersity(t)
	s.put(t, "p/a", []byte("abc"))
	s.put(t, "p/b", []byte("abc"))
	populate := newBench(t, s.endpoint)
	populate.request.Source.Prefix = "p"
	want := populate.mustBeDone(populate.run()).ManifestDigest
	b := newBench(t, s.endpoint)
	b.request.Operation, b.request.Source.Prefix, b.request.Volume = wire.Inventory, "p/", wire.Volume{}
	b.options.Paths.Volume = "/nonexistent"
	r := b.run()
	if r.Class != wire.Done || r.Objects != 2 || r.Bytes != 6 || r.ManifestDigest != want {
		t.Errorf("inventory is %+v, want 2 objects, 6 bytes, digest %s", r, want)
	}
}
