// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

const emptyTag = "d41d8cd98f00b204e9800998ecf8427e"

func sample(t *testing.T, change func(*manifest.Manifest)) manifest.Manifest {
	t.Helper()
	m := manifest.Manifest{
		Header: manifest.Header{
			SchemaVersion: manifest.SchemaVersion,
			Run:           "r-1",
			Claim:         "c-1",
			Created:       time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC),
		},
		Entries: []manifest.Entry{
			{Path: "-rf", Type: manifest.File, ETag: emptyTag, Mode: 0o644, ModTime: -1, Inode: 1 << 63},
			{Path: "a", Type: manifest.Directory, Mode: 0o2775, UID: 1000, GID: 1<<32 - 2},
			{
				Path: "a/new\nline <&> %41+", Type: manifest.File, Size: 1 << 40, ETag: emptyTag + "-7",
				Checksum: "CRC64NVME:AA==",
			},
			{Path: "b", Type: manifest.Link, Mode: 0o777, Target: "../\xff\u2028"},
			{Path: "c", Type: manifest.Link, Mode: 0o777, Target: "/etc/passwd"},
			{
				Path: "u\u0308", Type: manifest.File, ETag: emptyTag,
				XAttrs: []manifest.XAttr{{Name: "user.\xfe", Value: []byte{0, 255}}},
			},
			{Path: "\u00fc", Type: manifest.Directory},
		},
	}
	change(&m)
	digest, err := manifest.Digest(m.Entries)
	if err == nil && m.Digest == "" {
		m.Digest = digest
	}
	return m
}

func write(t *testing.T, m manifest.Manifest) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAManifestIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]manifest.Manifest{
		"all kinds of entries": sample(t, func(*manifest.Manifest) {}),
		"what was spared": sample(t, func(m *manifest.Manifest) {
			m.Spared = []manifest.Entry{{Path: "gone", Type: manifest.File, Size: 7, ETag: emptyTag}}
		}),
		"no entries": sample(t, func(m *manifest.Manifest) { m.Entries = []manifest.Entry{} }),
	} {
		got, err := manifest.Read(bytes.NewReader(write(t, m)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(m, got); diff != "" {
			t.Errorf("%s: another one was read (-want +got):\n%s", name, diff)
		}
	}
}

// The presence of a manifest means complete, so half of one must not be taken for a whole.
func TestAManifestThatIsCutIsRefused(t *testing.T) {
	t.Parallel()
	whole := write(t, sample(t, func(*manifest.Manifest) {}))
	for n := range len(whole) - 1 { // The last byte is a newline.
		if _, err := manifest.Read(bytes.NewReader(whole[:n])); err == nil {
			t.Fatalf("its first %d of %d bytes were read", n, len(whole))
		}
	}
	if _, err := manifest.Read(bytes.NewReader(append(whole, "{}"...))); err == nil {
		t.Error("two of them were read as one")
	}
}

func TestAManifestThatNoExportLeavesIsRefused(t *testing.T) {
	t.Parallel()
	entry := func(change func(*manifest.Entry)) func(*manifest.Manifest) {
		return func(m *manifest.Manifest) { change(&m.Entries[0]) }
	}
	add := func(e manifest.Entry) func(*manifest.Manifest) {
		return func(m *manifest.Manifest) { m.Entries = append(m.Entries, e) }
	}
	last := "\u00fd"
	for name, test := range map[string]struct {
		change func(*manifest.Manifest)
		want   string
	}{
		"another digest":      {func(m *manifest.Manifest) { m.Digest = "sha256:00" }, "digest"},
		"not sorted":          {add(manifest.Entry{Path: "a", Type: manifest.Directory}), "not after"},
		"twice the same path": {add(manifest.Entry{Path: "\u00fc", Type: manifest.File}), "not after"},
		"a path that escapes": {entry(func(e *manifest.Entry) { e.Path = "../x" }), `".."`},
		"an absolute path":    {entry(func(e *manifest.Entry) { e.Path = "/x" }), "absolute"},
		"no path":             {entry(func(e *manifest.Entry) { e.Path = "" }), "no path"},
		"our own directory":   {entry(func(e *manifest.Entry) { e.Path = ".s3populator/x" }), "reserved"},
		"an unknown type":     {entry(func(e *manifest.Entry) { e.Type = "socket" }), "unknown type"},
		"a negative size":     {entry(func(e *manifest.Entry) { e.Size = -1 }), "size"},
		"a file's type bits":  {entry(func(e *manifest.Entry) { e.Mode = 0o100644 }), "mode"},
		"no owner":            {entry(func(e *manifest.Entry) { e.UID = 1<<32 - 1 }), "no owner"},
		"no group":            {entry(func(e *manifest.Entry) { e.GID = 1<<32 - 1 }), "no group"},
		"a link to nowhere":   {add(manifest.Entry{Path: last, Type: manifest.Link}), "target"},
		"a link with a NUL":   {add(manifest.Entry{Path: last, Type: manifest.Link, Target: "a\x00"}), "target"},
		"a file with a target": {
			add(manifest.Entry{Path: last, Type: manifest.File, Target: "a"}),
			"no link",
		},
		"an attribute of the system": {
			entry(func(e *manifest.Entry) { e.XAttrs = []manifest.XAttr{{Name: "security.capability"}} }),
			"not of the user",
		},
		"a directory below a link": {
			func(m *manifest.Manifest) {
				m.Entries = []manifest.Entry{
					{Path: "l", Type: manifest.Link, Target: "/etc"},
					{Path: "l/x", Type: manifest.Directory},
				}
			},
			"below a file or link",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := manifest.Read(bytes.NewReader(write(t, sample(t, test.change))))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Read: %v, want an error with %q", err, test.want)
			}
		})
	}
	now := string(write(t, sample(t, func(*manifest.Manifest) {})))
	for name, test := range map[string]struct{ text, want string }{
		"entries twice":             {strings.Replace(now, `"entries"`, `"entries":[],"entries"`, 1), "entries twice"},
		"no entries":                {strings.Replace(now, `"entries"`, `"others"`, 1), "no entries"},
		"nothing for entries":       {`{"schemaVersion":1,"entries":null}`, "is to be"},
		"a list":                    {"[" + now + "]", "is to be"},
		"a bracket behind it":       {now + "]", "invalid"},
		"another one behind it":     {now + now, "data after"},
		"text behind it":            {now + "x", "invalid"},
		"entries without a comma":   {strings.Replace(now, ",\n{", "\n{", 1), "comma"},
		"entries with one too many": {strings.Replace(now, "\n]", ",]", 1), "invalid"},
	} {
		if _, err := manifest.Read(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, test.want)
		}
	}
	later := strings.Replace(now, `"schemaVersion":1`, `"schemaVersion":2`, 1)
	other := strings.Replace(later, `"type":"file"`, `"type":"socket"`, 1)
	for _, text := range []string{later, other} {
		if _, err := manifest.Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "schemaVersion") {
			t.Errorf("one of a later schema: %v", err)
		}
	}
}

// Tools that sort names put the entries before what is said once.
func TestAManifestIsReadInAnyOrder(t *testing.T) {
	t.Parallel()
	m := sample(t, func(*manifest.Manifest) {})
	var parts map[string]json.RawMessage
	if err := json.Unmarshal(write(t, m), &parts); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		t.Fatal(err)
	}
	got, err := manifest.Read(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got); diff != "" {
		t.Errorf("another one was read (-want +got):\n%s", diff)
	}
}

// Between a file and what would be below it may stand others, which begin with its name.
func TestNoEntryIsBelowAFileOrLink(t *testing.T) {
	t.Parallel()
	names := []string{"a", "a!", "a!/x", "a-b", "a/b", "a/b.c", "a/b/c", "a0", "b", "b/a"} // Sorted.
	for set := range 1 << len(names) {
		var m manifest.Manifest
		below := false
		for i, name := range names {
			if set&(1<<i) == 0 {
				continue
			}
			for _, e := range m.Entries {
				below = below || strings.HasPrefix(name, e.Path+"/")
			}
			e := manifest.Entry{Path: name, Type: manifest.File, ETag: emptyTag}
			if i%3 == 0 {
				e = manifest.Entry{Path: name, Type: manifest.Link, Target: "x"}
			}
			m.Entries = append(m.Entries, e)
		}
		m.Digest, _ = manifest.Digest(m.Entries)
		err := m.Check()
		if refused := err != nil && strings.Contains(err.Error(), "below a file or link"); refused != below {
			t.Fatalf("%v: %v, want it refused: %v", m.Entries, err, below)
		}
		if !below && err != nil {
			t.Fatalf("%v: %v", m.Entries, err)
		}
	}
}

func TestAPathThatJSONWouldChangeIsNotWritten(t *testing.T) {
	t.Parallel()
	m := manifest.Manifest{Entries: []manifest.Entry{{Path: "a\xff", Type: manifest.File}}}
	if err := m.Write(new(bytes.Buffer)); err == nil {
		t.Error("a path that is not UTF-8 was written")
	}
}

// The digest of a manifest is the one that a population of its prefix ends with.
func TestTheDigestIsThatOfAPopulation(t *testing.T) {
	t.Parallel()
	m := sample(t, func(*manifest.Manifest) {})
	p, err := plan.NewPlanner(wire.Request{Operation: wire.Populate, Source: wire.Source{Prefix: "runs/1/"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range m.Entries {
		if e.Type == manifest.File {
			p.Add("runs/1/"+e.Path, e.Size, `"`+e.ETag+`"`)
		}
	}
	p.Add("runs/1/"+manifest.Key, 100, emptyTag)
	p.Add("runs/1/"+manifest.PreviousKey, 100, emptyTag)
	all, err := p.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if all.Digest() != m.Digest {
		t.Errorf("the manifest says %s, the population %s", m.Digest, all.Digest())
	}
	if all.Mirrorable {
		t.Error("an engine may mirror the prefix, and with it the manifest")
	}
}
