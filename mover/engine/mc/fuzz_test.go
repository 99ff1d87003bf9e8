// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzLines: mc prints what servers and users make it print. Whatever that is, the lines behind it
// are read, and nothing is read twice.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"status":"success","source":"source/b/a","target":"/volume/a","size":14}`))
	f.Add([]byte("{\n \"status\": \"error\",\n \"error\": {\n  \"message\": \"x\"\n }\n}\n"))
	f.Add([]byte("warning {\n{\"status\":\"succ"))
	f.Add([]byte(`{"status":"error","error":{"message":"x","cause":{"message":"y","error":{"Code":7}}}}`))
	f.Add([]byte(`{"status":"error","size":"large","total":{},"error":"a text"}`))
	f.Add(bytes.Repeat([]byte("{"), maxObject+1))
	f.Fuzz(func(t *testing.T, text []byte) {
		const mark = `{"status":"success","target":"the mark"}`
		targets := bytes.Count(text, []byte("{"))
		seen, marks := 0, 0
		err := readLines(bytes.NewReader(append(append(text, '\n'), mark...)), func(l line) error {
			seen++
			if l.Target == "the mark" {
				marks++
			}
			if e := l.err(); e != nil && l.started() {
				t.Errorf("%q is both an error and a file", e.Message)
			}
			return nil
		})
		if err != nil || seen > targets+1 {
			t.Errorf("%d objects of %d are read (%v)", seen, targets+1, err)
		}
		// An object that is never closed swallows what follows, as it must.
		object := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && json.Valid(text) && len(text) < maxObject
		if marks == 0 && (object || !bytes.Contains(text, []byte("{"))) {
			t.Errorf("the line behind it is read %d times", marks)
		}
	})
}

// FuzzText: what mc prints on stderr is never lost.
func FuzzText(f *testing.F) {
	f.Add("mc: <ERROR> Unable to read from `source/bucket/key`. Object does not exist.")
	f.Add("`. ")
	f.Add("<ERROR>")
	f.Fuzz(func(t *testing.T, text string) {
		if e := parseText(text); (e == nil) != (len(bytes.TrimSpace([]byte(text))) == 0) {
			t.Errorf("%q is read as %v", text, e)
		}
	})
}
