// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s3populator/s3populator/mover/fault"
)

func TestReadLines(t *testing.T) {
	output := `{"status":"success","source":"source/b/a\u0026b","target":"/volume/a\u0026b","size":14,` +
		`"totalCount":1,"totalSize":14,"eventTime":"","eventType":""}
warning: something that is no JSON {
{"status":"success","source":"source/b/new\nline","target":"/volume/new\nline","size":1}
{
 "status": "error",
 "error": {
  "message": "Failed to copy ` + "`http://s3/b/k`" + `.",
  "cause": {
   "message": "Please reduce your request rate.",
   "error": {"Code": "SlowDown", "Message": "Please reduce your request rate.", "StatusCode": 503}
  },
  "type": "error"
 }
}
{"sourceURL":"http://s3/b/k","targetURL":"/volume/k","retries":1}
` + `{"status":"error","error":{"message":"Unable to stat source.",` +
		`"cause":{"message":"Object does not exist","error":{}},"type":"fatal"}}
{"status":"success","total":40000216,"transferred":40000216,"duration":80919659,"speed":494320125.59519064}
{"status":"succ`
	var started []string
	var errs []fault.PrintedError
	err := readLines(strings.NewReader(output), func(l line) error {
		if l.started() {
			started = append(started, l.Target)
		}
		if e := l.err(); e != nil {
			errs = append(errs, *e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/volume/a&b", "/volume/new\nline"}, started); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	want := []fault.PrintedError{
		{Message: "Failed to copy `http://s3/b/k`.", Cause: "Please reduce your request rate.", Code: "SlowDown"},
		{Message: "Unable to stat source.", Cause: "Object does not exist"},
	}
	if diff := cmp.Diff(want, errs, cmp.AllowUnexported(fault.PrintedError{})); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestReadLinesStopsWhenToldTo(t *testing.T) {
	stop := errors.New("enough")
	n := 0
	err := readLines(strings.NewReader("{}\n{}\n{}\n"), func(line) error {
		n++
		return stop
	})
	if !errors.Is(err, stop) || n != 1 {
		t.Errorf("got %v after %d lines", err, n)
	}
}

func TestParseText(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want *fault.PrintedError
	}{
		"an error with its cause": {
			"mc: <ERROR> Unable to read from `source/b/k`. Object does not exist.\n",
			&fault.PrintedError{Message: "Unable to read from `source/b/k`.", Cause: "Object does not exist."},
		},
		"an error without one": {
			"mc: <ERROR> out of cheese\n",
			&fault.PrintedError{Message: "mc ended with", Cause: "out of cheese"},
		},
		"a crash": {"panic: oops\n", &fault.PrintedError{Message: "mc ended with", Cause: "panic: oops"}},
		"silence": {"\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, parseText(tt.text), cmp.AllowUnexported(fault.PrintedError{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
