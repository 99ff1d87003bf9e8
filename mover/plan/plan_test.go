// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

const digestOfNothing = "d41d8cd98f00b204e9800998ecf8427e"

// object is what a test's S3 says about one object.
type object struct {
	key  string
	size int64
	etag string
}

func makePlan(t *testing.T, r wire.Request, objects ...object) (*Plan, error) {
	t.Helper()
	p, err := NewPlanner(r)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.etag == "" {
			o.etag = `"` + digestOfNothing + `"`
		}
		p.Add(o.key, o.size, o.etag)
	}
	return p.Finish()
}

func paths(p *Plan) []string {
	var list []string
	for _, e := range p.Entries.All() {
		list = append(list, e.Path)
	}
	return list
}

func TestPlan(t *testing.T) {
	directory := func(prefix string) wire.Source { return wire.Source{Prefix: prefix} }
	literal := func(prefix string) wire.Source { return wire.Source{Prefix: prefix, PrefixMode: "Literal"} }
	for name, tt := range map[string]struct {
		source     wire.Source
		keys       []string
		skip       bool
		want       []string
		wantSkips  int64
		wantMirror bool
		wantReason wire.Reason
		wantText   []string
	}{
		"a whole bucket keeps its keys": {
			keys: []string{"a", "b/c"}, want: []string{"a", "b/c"}, wantMirror: true,
		},
		"a prefix is cut off": {
			source: directory("imagenet"), keys: []string{"imagenet/", "imagenet/a", "imagenet/b/c"},
			want: []string{"a", "b/c"}, wantMirror: true,
		},
		"a literal prefix that ends within a segment keeps the segment": {
			source: literal("data/img"), keys: []string{"data/img1/a", "data/img2"}, want: []string{"img1/a", "img2"},
		},
		"a literal prefix that ends in a slash is a directory": {
			source: literal("data/"), keys: []string{"data/a"}, want: []string{"a"}, wantMirror: true,
		},
		"a marker becomes a directory": {
			keys: []string{"empty/", "full/", "full/x"}, want: []string{"empty/", "full/", "full/x"}, wantMirror: true,
		},
		"filters select by the path below the prefix": {
			source: wire.Source{Prefix: "p", Include: []string{"**/*.jpg"}, Exclude: []string{"**/tmp/**"}},
			keys:   []string{"p/a.jpg", "p/a.txt", "p/d/b.jpg", "p/d/tmp/c.jpg", "p/tmp/"}, want: []string{"a.jpg", "d/b.jpg"},
		},
		"a file yields to a directory of the same name, by policy": {
			keys: []string{"a", "a-b", "a/b"}, skip: true, want: []string{"a-b", "a/b"}, wantSkips: 1,
		},
		"a file and a marker of the same name clash": {
			keys: []string{"a", "a/"}, wantReason: wire.UnsafeKey, wantText: []string{
				`"a" (other keys need a directory of this name)`,
			},
		},
		"unsafe keys are refused, with examples": {
			keys:       []string{"../../etc/passwd", "a//b", "ok", "x\x00y", "z/../y"},
			wantReason: wire.UnsafeKey,
			wantText: []string{
				"4 of the selected keys", `"../../etc/passwd" (it has a ".." segment)`, `"x\x00y"`, "spec.unsafeKeys: Skip",
				"spec.exclude",
			},
		},
		"unsafe keys are skipped, by policy": {
			keys: []string{"../x", "ok"}, skip: true, want: []string{"ok"}, wantSkips: 1,
		},
		"unsafe keys that are filtered out do not matter": {
			source: wire.Source{Include: []string{"ok"}}, keys: []string{"a//b", "ok"}, want: []string{"ok"},
		},
		"keys that arrive unsorted are sorted": {
			keys: []string{"b", "a"}, want: []string{"a", "b"}, wantMirror: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.Request{Operation: wire.Populate, Source: tt.source}
			if tt.skip {
				r.Policy.UnsafeKeys = wire.Skip
			}
			var objects []object
			for _, k := range tt.keys {
				objects = append(objects, object{key: k})
			}
			p, err := makePlan(t, r, objects...)
			if tt.wantReason != "" {
				mustRefuse(t, err, tt.wantReason, tt.wantText...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(p)); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if p.Skipped != tt.wantSkips || p.Mirrorable != tt.wantMirror {
				t.Errorf("skipped %d, mirrorable %v; want %d, %v", p.Skipped, p.Mirrorable, tt.wantSkips, tt.wantMirror)
			}
		})
	}
}

func mustRefuse(t *testing.T, err error, reason wire.Reason, texts ...string) {
	t.Helper()
	if fault.ReasonOf(err) != reason {
		t.Fatalf("error is %v (reason %q), want reason %q", err, fault.ReasonOf(err), reason)
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("message lacks %q:\n%s", s, err)
		}
	}
}

// Entries are found by their order, and a digest is equal to that of everybody who sorts bytes.
func TestPathsAreSortedBytewise(t *testing.T) {
	p, err := makePlan(t, wire.Request{},
		object{key: "b"}, object{key: "a/B"}, object{key: "a/a"}, object{key: "B"}, object{key: "a.b"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"B", "a.b", "a/B", "a/a", "b"}, paths(p)); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	for _, path := range paths(p) {
		if _, ok := p.Find(path); !ok {
			t.Errorf("%s is not found", path)
		}
	}
}

func TestPlanRefusesAMarkerWithContent(t *testing.T) {
	_, err := makePlan(t, wire.Request{Operation: wire.Populate}, object{key: "dir/", size: 3})
	mustRefuse(t, err, wire.UnsafeKey, "ends in a slash but has content")
}

func TestPlanOfExplicitObjects(t *testing.T) {
	for name, tt := range map[string]struct {
		objects    []wire.Object
		want       []string
		wantReason wire.Reason
	}{
		"an object goes where it is told": {
			objects: []wire.Object{{Key: "a//b:c", Path: "x/y"}}, want: []string{"x/y"},
		},
		"without a path it keeps its own below the prefix": {
			objects: []wire.Object{{Key: "p/a"}, {Key: "q/b"}}, want: []string{"a", "q/b"},
		},
		"two objects cannot share a path": {
			objects: []wire.Object{{Key: "p/a"}, {Key: "b", Path: "a"}}, wantReason: wire.UnsafeKey,
		},
		"a path cannot leave the volume": {
			objects: []wire.Object{{Key: "p/a", Path: "../a"}}, wantReason: wire.UnsafeKey,
		},
		"a file's path does not end in a slash": {
			objects: []wire.Object{{Key: "p/a", Path: "a/"}}, wantReason: wire.UnsafeKey,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.Request{Operation: wire.Populate, Source: wire.Source{Prefix: "p", Objects: tt.objects}}
			pl, err := NewPlanner(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range tt.objects {
				pl.AddAs(o, 1, digestOfNothing)
			}
			p, err := pl.Finish()
			if tt.wantReason != "" {
				mustRefuse(t, err, tt.wantReason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(p)); diff != "" || p.Mirrorable {
				t.Errorf("mirrorable %v, paths (-want +got):\n%s", p.Mirrorable, diff)
			}
		})
	}
}

func TestListPrefix(t *testing.T) {
	for name, tt := range map[string]struct {
		source   wire.Source
		want     string
		wantBase string
	}{
		"the whole bucket":                {wire.Source{}, "", ""},
		"a directory without its slash":   {wire.Source{Prefix: "imagenet"}, "imagenet/", "imagenet/"},
		"a directory with its slash":      {wire.Source{Prefix: "imagenet/"}, "imagenet/", "imagenet/"},
		"a raw prefix":                    {wire.Source{Prefix: "a/img", PrefixMode: "Literal"}, "a/img", "a/"},
		"a raw prefix at the bucket root": {wire.Source{Prefix: "img", PrefixMode: "Literal"}, "img", ""},
	} {
		t.Run(name, func(t *testing.T) {
			base, _ := basePrefix(tt.source)
			if got := ListPrefix(tt.source); got != tt.want || base != tt.wantBase {
				t.Errorf("prefix %q base %q, want %q %q", got, base, tt.want, tt.wantBase)
			}
		})
	}
}

func TestInvalidGlobsNameTheirField(t *testing.T) {
	_, err := NewPlanner(wire.Request{Source: wire.Source{Exclude: []string{"ok", "a[b"}}})
	mustRefuse(t, err, wire.MoverBroken, "spec.exclude", `"a[b"`)
}

func TestDigest(t *testing.T) {
	r := wire.Request{Operation: wire.Populate}
	base := []object{{"a", 0, digestOfNothing}, {"b", 5, "opaque-tag"}, {"d/", 0, "x"}}
	want := mustDigest(t, r, base...)
	for name, tt := range map[string]struct {
		request wire.Request
		objects []object
		same    bool
	}{
		"another prefix and bucket, the same content": {
			wire.Request{Source: wire.Source{Bucket: "other", Prefix: "p"}, Volume: wire.Volume{TargetPath: "t"}},
			[]object{{"p/a", 0, digestOfNothing}, {"p/b", 5, "opaque-tag"}, {"p/d/", 0, "y"}},
			true,
		},
		"quotes around entity tags do not count": {
			r, []object{{"a", 0, `"` + digestOfNothing + `"`}, {"b", 5, `"opaque-tag"`}, {"d/", 0, ""}}, true,
		},
		"another size": {
			r, []object{{"a", 1, digestOfNothing}, {"b", 5, "opaque-tag"}, {"d/", 0, "x"}}, false,
		},
		"another entity tag": {
			r, []object{{"a", 0, digestOfNothing}, {"b", 5, "opaque-tag2"}, {"d/", 0, "x"}}, false,
		},
		"another path": {
			r, []object{{"a", 0, digestOfNothing}, {"c", 5, "opaque-tag"}, {"d/", 0, "x"}}, false,
		},
		"a directory less": {r, []object{{"a", 0, digestOfNothing}, {"b", 5, "opaque-tag"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustDigest(t, tt.request, tt.objects...); (got == want) != tt.same {
				t.Errorf("digest %s, first %s, want same: %v", got, want, tt.same)
			}
		})
	}
	// printf 'a\t0\td41d8cd98f00b204e9800998ecf8427e\nb\t5\topaque-tag\nd/\t0\t\n' | sha256sum
	if known := "sha256:df926b9249e63da98a2ef43713309fd6b2a97098888cd213d68b41e47f372f4e"; want != known {
		t.Errorf("digest is %q, want %q", want, known)
	}
}

func TestDigestCannotBeForgedByAName(t *testing.T) {
	r := wire.Request{Operation: wire.Populate}
	two := mustDigest(t, r, object{"a", 0, digestOfNothing}, object{"b", 0, digestOfNothing})
	one := mustDigest(t, r, object{"a\t0\t" + digestOfNothing + "\nb", 0, digestOfNothing})
	if one == two {
		t.Error("one object with a newline in its name has the digest of two")
	}
}

func mustDigest(t *testing.T, r wire.Request, objects ...object) string {
	t.Helper()
	p, err := makePlan(t, r, objects...)
	if err != nil {
		t.Fatal(err)
	}
	return p.Digest()
}
