// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

func TestCheckPath(t *testing.T) {
	long := strings.Repeat("x", 256)
	for name, tt := range map[string]struct {
		target, path string
		want         string // Part of the problem; empty: the path is fine.
	}{
		"a plain file":                               {path: "a.txt"},
		"a file in directories":                      {path: "a/b/c.txt"},
		"a directory marker":                         {path: "a/b/"},
		"spaces, unicode and shell characters":       {path: "sp ace/ü/%41 +&?#*{}[]\\'\"$`!"},
		"a leading dash":                             {path: "-rf"},
		"a newline and a tab":                        {path: "a\nb\tc"},
		"three dots are a name":                      {path: ".../..a/a../.hidden"},
		"a segment of 255 bytes":                     {path: long[:255]},
		"bytes that are not UTF-8":                   {path: "a\xffb"},
		"lost+found below another directory":         {path: "a/lost+found"},
		"the journal's name below another directory": {path: "a/" + wire.JournalDir},
		"lost+found below a target":                  {target: "t", path: "lost+found"},
		"a name that only starts like the journal's": {path: wire.JournalDir + "x/y"},

		"nothing":                   {path: "", want: "empty"},
		"only a slash":              {path: "/", want: "absolute"},
		"an absolute path":          {path: "/etc/passwd", want: "absolute"},
		"a parent at the start":     {path: "../x", want: `".."`},
		"a parent in the middle":    {path: "a/../../x", want: `".."`},
		"a parent at the end":       {path: "a/..", want: `".."`},
		"a parent as a marker":      {path: "a/../", want: `".."`},
		"only a parent":             {path: "..", want: `".."`},
		"a dot segment":             {path: "a/./b", want: `"."`},
		"an empty segment":          {path: "a//b", want: "empty segment"},
		"a marker with two slashes": {path: "a//", want: "empty segment"},
		"a NUL":                     {path: "a\x00b", want: "NUL"},
		"a segment of 256 bytes":    {path: "a/" + long + "/b", want: "longer than 255"},

		"a segment of 255 bytes in 128 characters": {path: strings.Repeat("ü", 128), want: "longer than 255"},
		"a path near PATH_MAX":                     {path: strings.Repeat("a/", 2001), want: "longer than 4000"},
		"a path that is too long with its target": {
			target: strings.Repeat("a/", 1000) + "a", path: strings.Repeat("a/", 1000), want: "longer than 4000",
		},
		"lost+found at the root":                         {path: "lost+found", want: "reserved"},
		"below lost+found at the root":                   {path: "lost+found/x", want: "reserved"},
		"the journal directory":                          {path: wire.JournalDir + "/journal", want: "reserved"},
		"the journal directory as the start of a target": {target: wire.JournalDir, path: "x", want: "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			got := checkPath(tt.target, tt.path)
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("checkPath(%q, %q) = %q, want %q", tt.target, tt.path, got, tt.want)
			}
		})
	}
}

func TestCheckTarget(t *testing.T) {
	for target, ok := range map[string]bool{
		"": true, "a": true, "a/b": true, "a b": true,
		"/a": false, "a/": false, "..": false, "a/../b": false, "lost+found": false, "lost+found/x": false,
		".s3populator/x": false, "a//b": false, ".": false,
	} {
		if got := CheckTarget(target); (got == "") != ok {
			t.Errorf("checkTarget(%q) = %q, want ok=%v", target, got, ok)
		}
	}
}

// FuzzPlan feeds whole listings, one key per line, and holds every plan to
// what the file system needs of it.
func FuzzPlan(f *testing.F) {
	for _, seed := range []string{
		"a\na/b\na/\n", "../x\n/etc/passwd\na/../../b\n", "a//b\n//\n/\n", "x\x00y\n", strings.Repeat("q", 300) + "\n",
		"lost+found/a\n.s3populator/journal\n", "p/a\np/a\np/b/\np/b\n", "ü/u\u0308\n", "a/.\na/..\n...\n",
	} {
		f.Add(seed, "", false)
		f.Add(seed, "t/u", true)
	}
	f.Fuzz(func(t *testing.T, listing, target string, skip bool) {
		policy := wire.Fail
		if skip {
			policy = wire.Skip
		}
		p, err := NewPlanner(wire.Request{
			Operation: wire.Populate,
			Volume:    wire.Volume{TargetPath: target},
			Policy:    wire.Policy{UnsafeKeys: policy},
		})
		if err != nil {
			if CheckTarget(target) == "" {
				t.Fatalf("a good target was refused: %v", err)
			}
			return
		}
		for k := range strings.SplitSeq(listing, "\n") {
			p.Add(k, 0, "d41d8cd98f00b204e9800998ecf8427e")
		}
		plan, err := p.Finish()
		if err != nil {
			if skip || fault.ReasonOf(err) != wire.UnsafeKey {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		mustBePlaceable(t, plan, target)
	})
}

// mustBePlaceable is what a volume needs of a plan, said independently of how
// the plan is made.
func mustBePlaceable(t *testing.T, p *Plan, target string) {
	t.Helper()
	files, dirs := map[string]bool{}, map[string]bool{}
	previous := ""
	for _, e := range p.Entries.All() {
		full := filepath.Join("/volume", target, e.Path)
		clean := strings.TrimSuffix(e.Path, "/")
		switch {
		case e.Path <= previous && previous != "":
			t.Fatalf("%q comes after %q", e.Path, previous)
		case !filepath.IsLocal(clean) || filepath.Clean(clean) != clean:
			t.Fatalf("%q is not a clean local path", e.Path)
		case !strings.HasPrefix(full, "/volume/"):
			t.Fatalf("%q leaves the volume as %q", e.Path, full)
		case strings.ContainsRune(full, 0), len(full) >= 4096:
			t.Fatalf("%q cannot be opened", full)
		case strings.HasPrefix(full+"/", "/volume/"+wire.JournalDir+"/"), strings.HasPrefix(full+"/", "/volume/lost+found/"):
			t.Fatalf("%q is reserved", full)
		}
		for s := range strings.SplitSeq(clean, "/") {
			if len(s) > 255 {
				t.Fatalf("segment of %d bytes in %q", len(s), e.Path)
			}
		}
		if e.IsDir() {
			dirs[clean] = true
		} else {
			files[clean] = true
		}
		for d := filepath.Dir(clean); d != "."; d = filepath.Dir(d) {
			dirs[d] = true
		}
		previous = e.Path
	}
	for f := range files {
		if dirs[f] {
			t.Fatalf("%q is both a file and a directory", f)
		}
	}
	if int64(len(dirs)) != p.Dirs {
		t.Fatalf("plan counts %d directories, there are %d", p.Dirs, len(dirs))
	}
	for d := range dirs {
		if !p.HasDir(d) {
			t.Fatalf("the plan does not know its directory %q", d)
		}
	}
}
