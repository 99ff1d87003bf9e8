// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/s3populator/s3populator/mover/fault"
)

// line is what matters in a line of mc's --json output. mc prints "success"
// for a file before it copies it, so such a line means "started".
type line struct {
	Status string `json:"status"`
	Source string `json:"source"`
	Target string `json:"target"`
	Size   int64  `json:"size"`
	// Total is only in the last line of a run, the summary.
	Total *int64 `json:"total"`
	Error *struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Cause   struct {
			Message string          `json:"message"`
			Error   json.RawMessage `json:"error"`
		} `json:"cause"`
	} `json:"error"`
}

// started reports whether the line announces the transfer of one file.
func (l line) started() bool { return l.Status == "success" && l.Target != "" && l.Total == nil }

// err returns the line's error, or nil.
func (l line) err() *fault.PrintedError {
	if l.Status != "error" || l.Error == nil {
		return nil
	}
	e := &fault.PrintedError{Message: l.Error.Message, Cause: l.Error.Cause.Message}
	var response struct{ Code string }
	if json.Unmarshal(l.Error.Cause.Error, &response) == nil {
		e.Code = response.Code
	}
	return e
}

// readLines calls visit for every JSON object in mc's output until visit
// returns an error. Objects mostly take one line each, but some errors are
// indented over several. What is not JSON is ignored: mc may print warnings.
func readLines(r io.Reader, visit func(line) error) error {
	lines := bufio.NewReaderSize(r, 64<<10)
	var object []byte
	for {
		next, err := lines.ReadBytes('\n')
		object = append(object, next...)
		text := bytes.TrimSpace(object)
		var l line
		switch {
		case bytes.HasSuffix(text, []byte("}")) && bytes.HasPrefix(text, []byte("{")) && json.Valid(text):
			// A field of a type that is not ours stays empty: it must not swallow the lines behind it.
			_ = json.Unmarshal(text, &l)
			if err := visit(l); err != nil {
				return err
			}
			object = object[:0]
		case !bytes.HasPrefix(text, []byte("{")), len(object) > maxObject:
			object = object[:0]
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read mc's output: %w", err)
		}
	}
}

// maxObject bounds a line: two keys of 1 KiB, each byte escaped to six, and words.
const maxObject = 64 << 10

// parseText reads what mc prints on stderr without --json:
//
//	mc: <ERROR> Unable to read from `source/bucket/key`. Object does not exist.
func parseText(stderr string) *fault.PrintedError {
	text := strings.TrimSpace(stderr)
	if text == "" {
		return nil
	}
	if _, after, ok := strings.Cut(text, "<ERROR>"); ok {
		text = strings.TrimSpace(after)
	}
	if at := strings.Index(text, "`. "); at >= 0 {
		return &fault.PrintedError{Message: text[:at+2], Cause: strings.TrimSpace(text[at+3:])}
	}
	return &fault.PrintedError{Message: "mc ended with", Cause: text}
}
