// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Read reads a whole manifest and checks it. One of a later schema, or with a byte missing, is an error.
func Read(from io.Reader) (Manifest, error) {
	m := Manifest{Entries: []Entry{}}
	var spared []Entry
	h, err := each(from, appendTo(&m.Entries), appendTo(&spared))
	if err != nil {
		return Manifest{}, err
	}
	m.Header, m.Spared = h, spared
	return m, nil
}

func appendTo(all *[]Entry) func(Entry) { return func(e Entry) { *all = append(*all, e) } }

// Each is Read for who does not hold the entries: of a million, they take hundreds of megabytes. It shows each of them
// before it knows the rest of the manifest: what was made of them counts only where Each ends without an error. What
// was spared is not in the header then: it may be as much, and is no part of the export.
func Each(from io.Reader, show func(Entry)) (Header, error) {
	return each(from, show, func(Entry) {})
}

func each(from io.Reader, show, spared func(Entry)) (Header, error) {
	text := &bounded{from: from, left: mostText}
	r := &reader{
		text: text, d: json.NewDecoder(text), check: newChecker(), show: show, spared: spared,
		rest: map[string]json.RawMessage{},
	}
	h, err := r.whole()
	if err != nil {
		return Header{}, fmt.Errorf("read manifest: %w", err)
	}
	return h, nil
}

// mostText is how many bytes one entry may take, and all that is said once together: a bucket in which others may
// write does not fill the memory of a mover. A path, escaped, and the target of a link take 24 KiB at most, and most
// file systems hold some KiB of extended attributes per file.
const mostText = 16 << 20

// ErrTooLong is for what no export leaves. The rest of such a text was not read.
var ErrTooLong = errors.New("one of its entries, or its header, takes more than 16 MiB")

// bounded ends a text of which more is asked for than is left.
type bounded struct {
	from io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, ErrTooLong
	}
	n, err := b.from.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err //nolint:wrapcheck // It is handed through.
}

// reader goes through the text of a manifest.
type reader struct {
	text       *bounded
	d          *json.Decoder
	check      *checker
	show       func(Entry)
	spared     func(Entry)
	hasEntries bool
	rest       map[string]json.RawMessage // What else is said once, by its name.
	said       int                        // Bytes of that.
}

func (r *reader) whole() (Header, error) {
	if err := r.object(); err != nil {
		return Header{}, err
	}
	if _, err := r.d.Token(); !errors.Is(err, io.EOF) {
		return Header{}, cmp.Or(err, errors.New("data after the JSON object"))
	}
	h, err := r.header()
	if err != nil {
		return Header{}, err
	}
	if !r.hasEntries {
		return Header{}, errors.New("it has no entries")
	}
	return h, r.check.end(h)
}

func (r *reader) object() error {
	if err := r.delimiter('{'); err != nil {
		return err
	}
	for r.d.More() {
		r.text.left = mostText
		token, err := r.d.Token()
		if err != nil {
			return unended(err)
		}
		switch name, _ := token.(string); name {
		case "entries":
			err = r.entries()
		case "spared":
			err = r.list(func(e Entry) error { r.spared(e); return nil })
		default:
			err = r.once(name)
		}
		if err != nil {
			return unended(err)
		}
	}
	return r.delimiter('}')
}

// once takes a value that is read when all of them are there.
func (r *reader) once(name string) error {
	var value json.RawMessage
	err := r.d.Decode(&value)
	if r.said += len(name) + len(value); r.said > mostText {
		return ErrTooLong
	}
	r.rest[name] = value
	return err //nolint:wrapcheck // It says what failed.
}

func (r *reader) entries() error {
	if r.hasEntries {
		return errors.New("it has entries twice")
	}
	r.hasEntries = true
	return r.list(func(e Entry) error {
		if err := r.check.add(e); err != nil {
			return err
		}
		r.show(e)
		return nil
	})
}

// list goes through entries. Those of a later schema are not looked at, if that is known by now.
func (r *reader) list(take func(Entry) error) error {
	if _, said := r.rest["schemaVersion"]; said {
		if _, err := r.header(); err != nil {
			return err
		}
	}
	if err := r.delimiter('['); err != nil {
		return err
	}
	for r.d.More() {
		r.text.left = mostText
		var e Entry
		if err := r.d.Decode(&e); err != nil {
			return unended(err)
		}
		if err := take(e); err != nil {
			return err
		}
	}
	return r.delimiter(']')
}

// header is what was said up to here.
func (r *reader) header() (Header, error) {
	var h Header
	text, err := json.Marshal(r.rest)
	if err == nil {
		err = json.Unmarshal(text, &h)
	}
	if err == nil && h.SchemaVersion != SchemaVersion {
		err = fmt.Errorf("its schemaVersion is %d, only %d is known; use the version of the mover that wrote it",
			h.SchemaVersion, SchemaVersion)
	}
	return h, err
}

// delimiter takes the next token, which has to be this one.
func (r *reader) delimiter(want json.Delim) error {
	token, err := r.d.Token()
	if err != nil {
		return unended(err)
	}
	if token != want {
		return fmt.Errorf("%v is where %v is to be", token, want)
	}
	return nil
}

// unended tells that a text is over too early. A decoder says no more than that it is over.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
