// SPDX-License-Identifier: Apache-2.0

package manifest_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/manifest"
)

// repeated is a text over and over.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n, r.at = n+c, (r.at+c)%len(r.text)
	}
	return n, nil
}

// A bucket is not trusted: what somebody has written there does not fill the memory of a mover.
func TestAManifestThatIsLongerThanMemory(t *testing.T) {
	t.Parallel()
	kilo := strings.Repeat("x", 1000)
	for name, test := range map[string]struct{ begin, more string }{
		"an entry":                 {`{"schemaVersion":1,"entries":[{"path":"`, kilo},
		"its attributes":           {`{"schemaVersion":1,"entries":[{"xattrs":[{}`, `,{"name":"user.x","value":""}`},
		"one that was spared":      {`{"schemaVersion":1,"spared":[{"path":"`, kilo},
		"what is said once":        {`{"schemaVersion":1,"run":"`, kilo},
		"much that is said once":   {`{"schemaVersion":1`, `,"other":"` + kilo + `"`},
		"a name":                   {`{"`, kilo},
		"space":                    {`{"schemaVersion":1,`, strings.Repeat(" ", 1000)},
		"space between entries":    {`{"schemaVersion":1,"entries":[`, strings.Repeat("\n", 1000)},
		"space before all of this": {"", strings.Repeat("\t", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := io.MultiReader(strings.NewReader(test.begin), io.LimitReader(&repeated{text: test.more}, 40<<20))
			if _, err := manifest.Read(text); err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
				t.Errorf("Read: %v", err)
			}
		})
	}
}

// What is many, and not long, is read as it comes.
func TestAManifestThatIsLarge(t *testing.T) {
	t.Parallel()
	const most = 16 << 20
	m := sample(t, func(m *manifest.Manifest) {
		m.Entries = nil
		for i := range 100_000 {
			e := manifest.Entry{Path: fmt.Sprintf("%0200d", i), Type: manifest.File, ETag: emptyTag}
			m.Entries = append(m.Entries, e)
			m.Spared = append(m.Spared, e)
		}
		m.Entries[7].XAttrs = []manifest.XAttr{{Name: "user.x", Value: make([]byte, most/2)}}
	})
	text := write(t, m)
	got, err := manifest.Read(bytes.NewReader(text))
	if err != nil || len(got.Entries) != len(m.Entries) || len(got.Spared) != len(m.Spared) {
		t.Fatalf("Read: %d entries, %d spared, %v", len(got.Entries), len(got.Spared), err)
	}
	shown := 0
	h, err := manifest.Each(bytes.NewReader(text), func(manifest.Entry) { shown++ })
	if err != nil || shown != len(m.Entries) || h.Spared != nil || h.Digest != m.Digest {
		t.Errorf("Each: %d entries, %d spared, %v", shown, len(h.Spared), err)
	}
	m.Entries[7].XAttrs[0].Value = make([]byte, most)
	if err := m.Write(io.Discard); err == nil || !strings.Contains(err.Error(), "extended attributes") {
		t.Errorf("one that nobody could read is written: %v", err)
	}
}
