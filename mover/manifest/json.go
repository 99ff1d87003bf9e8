// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/s3populator/s3populator/mover/plan"
)

// Bytes is text that need not be UTF-8, such as the target of a link. In JSON it is a string
// where it can be, else {"base64": "..."}: encoding/json would replace what is not UTF-8.
type Bytes string

type base64Text struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON keeps every byte.
func (b Bytes) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		return json.Marshal(string(b)) //nolint:wrapcheck // encoding/json names the field.
	}
	return json.Marshal(base64Text{[]byte(b)}) //nolint:wrapcheck // encoding/json names the field.
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *Bytes) UnmarshalJSON(data []byte) error {
	if !bytes.HasPrefix(data, []byte("{")) {
		return json.Unmarshal(data, (*string)(b)) //nolint:wrapcheck // encoding/json names the field.
	}
	var text base64Text
	if err := json.Unmarshal(data, &text); err != nil {
		return err //nolint:wrapcheck // encoding/json names the field.
	}
	*b = Bytes(text.Base64)
	return nil
}

// Write renders a manifest as one JSON object, an entry per line.
func (m Manifest) Write(to io.Writer) error {
	m.SchemaVersion = SchemaVersion
	w := bufio.NewWriterSize(to, 64<<10)
	header, err := json.Marshal(m.Header)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, _ = w.Write(bytes.TrimSuffix(header, []byte("}"))) // Errors stay with w until Flush.
	_, _ = w.WriteString(`,"entries":[`)
	for i, e := range m.Entries {
		if !utf8.ValidString(e.Path) {
			return fmt.Errorf("write manifest: path %q is not UTF-8", e.Path)
		}
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write manifest: %w", err)
		}
		if len(line) > mostText { // Nobody could read it.
			return fmt.Errorf("write manifest: the extended attributes of %s take more than 16 MiB; remove some of them",
				plan.Quote(e.Path))
		}
		if i > 0 {
			_ = w.WriteByte(',')
		}
		_ = w.WriteByte('\n')
		_, _ = w.Write(line)
	}
	_, _ = w.WriteString("\n]}\n")
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}
