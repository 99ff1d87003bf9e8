// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

const emptyMD5 = "d41d8cd98f00b204e9800998ecf8427e"

// listed is what a test's S3 says about one object.
type listed struct {
	key  string
	size int64
	etag string
}

func planOf(t *testing.T, r wire.Request, objects ...listed) (*plan, error) {
	t.Helper()
	p, err := newPlanner(r)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.etag == "" {
			o.etag = `"` + emptyMD5 + `"`
		}
		p.add(o.key, o.size, o.etag)
	}
	return p.finish()
}

func paths(p *plan) []string {
	var list []string
	for _, e := range p.entries {
		list = append(list, e.path)
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
			source: directory("imagenet"), keys: []string{"imagenet/", "imagenet/a", "imagenet/b/c"}, want: []string{"a", "b/c"}, wantMirror: true,
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
			keys: []string{"a", "a/"}, wantReason: wire.UnsafeKey, wantText: []string{`"a" (other keys need a directory of this name)`},
		},
		"unsafe keys are refused, with examples": {
			keys:       []string{"../../etc/passwd", "a//b", "ok", "x\x00y", "z/../y"},
			wantReason: wire.UnsafeKey,
			wantText:   []string{"4 of the selected keys", `"../../etc/passwd" (it has a ".." segment)`, `"x\x00y"`, "spec.unsafeKeys: Skip", "spec.exclude"},
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
			var objects []listed
			for _, k := range tt.keys {
				objects = append(objects, listed{key: k})
			}
			p, err := planOf(t, r, objects...)
			if tt.wantReason != "" {
				mustFail(t, err, tt.wantReason, tt.wantText...)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(p)); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
			if p.skipped != tt.wantSkips || p.mirrorable != tt.wantMirror {
				t.Errorf("skipped %d, mirrorable %v; want %d, %v", p.skipped, p.mirrorable, tt.wantSkips, tt.wantMirror)
			}
		})
	}
}

func mustFail(t *testing.T, err error, reason wire.Reason, texts ...string) {
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

func TestPlanRefusesAMarkerWithContent(t *testing.T) {
	_, err := planOf(t, wire.Request{Operation: wire.Populate}, listed{key: "dir/", size: 3})
	mustFail(t, err, wire.UnsafeKey, "ends in a slash but has content")
}

func TestPlanOfExplicitObjects(t *testing.T) {
	for name, tt := range map[string]struct {
		objects    []wire.Object
		want       []string
		wantReason wire.Reason
	}{
		"an object goes where it is told":                  {objects: []wire.Object{{Key: "a//b:c", Path: "x/y"}}, want: []string{"x/y"}},
		"without a path it keeps its own below the prefix": {objects: []wire.Object{{Key: "p/a"}, {Key: "q/b"}}, want: []string{"a", "q/b"}},
		"two objects cannot share a path":                  {objects: []wire.Object{{Key: "p/a"}, {Key: "b", Path: "a"}}, wantReason: wire.UnsafeKey},
		"a path cannot leave the volume":                   {objects: []wire.Object{{Key: "p/a", Path: "../a"}}, wantReason: wire.UnsafeKey},
		"a file's path does not end in a slash":            {objects: []wire.Object{{Key: "p/a", Path: "a/"}}, wantReason: wire.UnsafeKey},
	} {
		t.Run(name, func(t *testing.T) {
			r := wire.Request{Operation: wire.Populate, Source: wire.Source{Prefix: "p", Objects: tt.objects}}
			pl, err := newPlanner(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range tt.objects {
				pl.addAs(o, 1, emptyMD5)
			}
			p, err := pl.finish()
			if tt.wantReason != "" {
				mustFail(t, err, tt.wantReason)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, paths(p)); diff != "" || p.mirrorable {
				t.Errorf("mirrorable %v, paths (-want +got):\n%s", p.mirrorable, diff)
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
			if got := listPrefix(tt.source); got != tt.want || base != tt.wantBase {
				t.Errorf("prefix %q base %q, want %q %q", got, base, tt.want, tt.wantBase)
			}
		})
	}
}

func TestInvalidGlobsNameTheirField(t *testing.T) {
	_, err := newPlanner(wire.Request{Source: wire.Source{Exclude: []string{"ok", "a[b"}}})
	mustFail(t, err, wire.MoverBroken, "spec.exclude", `"a[b"`)
}

func TestDigest(t *testing.T) {
	r := wire.Request{Operation: wire.Populate}
	base := []listed{{"a", 0, emptyMD5}, {"b", 5, "opaque-tag"}, {"d/", 0, "x"}}
	want := mustDigest(t, r, base...)
	for name, tt := range map[string]struct {
		request wire.Request
		objects []listed
		same    bool
	}{
		"another prefix and bucket, the same content": {
			wire.Request{Source: wire.Source{Bucket: "other", Prefix: "p"}, Volume: wire.Volume{TargetPath: "t"}},
			[]listed{{"p/a", 0, emptyMD5}, {"p/b", 5, "opaque-tag"}, {"p/d/", 0, "y"}},
			true,
		},
		"quotes around entity tags do not count": {r, []listed{{"a", 0, `"` + emptyMD5 + `"`}, {"b", 5, `"opaque-tag"`}, {"d/", 0, ""}}, true},
		"another size":                           {r, []listed{{"a", 1, emptyMD5}, {"b", 5, "opaque-tag"}, {"d/", 0, "x"}}, false},
		"another entity tag":                     {r, []listed{{"a", 0, emptyMD5}, {"b", 5, "opaque-tag2"}, {"d/", 0, "x"}}, false},
		"another path":                           {r, []listed{{"a", 0, emptyMD5}, {"c", 5, "opaque-tag"}, {"d/", 0, "x"}}, false},
		"a directory less":                       {r, []listed{{"a", 0, emptyMD5}, {"b", 5, "opaque-tag"}}, false},
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
	two := mustDigest(t, r, listed{"a", 0, emptyMD5}, listed{"b", 0, emptyMD5})
	one := mustDigest(t, r, listed{"a\t0\t" + emptyMD5 + "\nb", 0, emptyMD5})
	if one == two {
		t.Error("one object with a newline in its name has the digest of two")
	}
}

func mustDigest(t *testing.T, r wire.Request, objects ...listed) string {
	t.Helper()
	p, err := planOf(t, r, objects...)
	if err != nil {
		t.Fatal(err)
	}
	return p.digest()
}
