// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/plan"
)

// FuzzJournal: what is on a volume may be anything. A line that is believed is one that this code
// writes, byte by byte, and stands in the journal whole, behind the header.
func FuzzJournal(f *testing.F) {
	sound := Line{Path: "a\tb\n\xff", Size: 1 << 40, ModTime: -1, By: 1, ETag: "d41d8cd98f00b204e9800998ecf8427e-3"}.Line()
	header := plan.Header{Claim: "c", Pod: "p", Request: "r"}.Line()
	f.Add([]byte(header + string(sound)))
	f.Add([]byte(header + string(sound[:len(sound)-1])))
	f.Add([]byte(header + string(sound[1:]) + string(sound)))
	f.Add([]byte(header + strings.Repeat("x", maxLine) + "\n" + string(sound)))
	f.Add(append(sound, sound...))
	block := Line{Path: "a", Size: 4 << 20, Offset: 8 << 20, ETag: "t", Sum: 1, Summed: true}.Line()
	f.Add([]byte(header + string(block)))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, body, _ := bytes.Cut(text, []byte{'\n'})
		err := readJournal(bytes.NewReader(text), func(l Line) error {
			line := l.Line()
			if l.By >= plan.Methods {
				t.Errorf("the method %d is believed", l.By)
			}
			if len(line) > maxLine {
				t.Errorf("a line of %d bytes is believed", len(line))
			}
			if again, ok := ParseJournalled(line[:len(line)-1]); !ok || again != l {
				t.Errorf("%+v is written as %q, which is read as %+v (%v)", l, line, again, ok)
			}
			return nil
		})
		if err != nil {
			t.Errorf("it ends with %v", err)
		}
		if n := bytes.Count(body, []byte{'\n'}); n == 0 {
			_ = readJournal(bytes.NewReader(text), func(l Line) error {
				t.Errorf("%+v is believed, and no line is whole", l)
				return nil
			})
		}
	})
}
