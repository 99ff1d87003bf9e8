// SPDX-License-Identifier: Apache-2.0

package native

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// A key is of one day. A request that was given it before midnight and is written after it is of
// that day too, whatever was written before and comes next.
func TestMidnight(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	sign := func(day string) *signing {
		return &signing{keys: Keys{Access: "a", Secret: "s"}, day: day, key: dayKey("s", day, "eu-west-1", "s3")}
	}
	old, next := sign("20261125"), sign("20261126")
	c := newComposer(New(Config{Bucket: &url.URL{Scheme: "http", Host: "host", Path: "/bucket"}, Region: "eu-west-1"}))
	q := query{method: "GET", task: &engine.Task{Key: "k"}, whole: true}
	for _, step := range []struct {
		key  *signing
		now  time.Time
		want string
	}{
		{old, midnight.Add(-time.Second), "20261125T235959Z"},
		{old, midnight, "20261125T235959Z"},
		{next, midnight, "20261126T000000Z"},
		{old, midnight, "20261125T235959Z"},
		{old, midnight.Add(time.Second), "20261125T235959Z"},
		{next, midnight.Add(time.Second), "20261126T000001Z"},
		{next, midnight.Add(-time.Second), "20261126T000000Z"},
	} {
		text := string(c.compose(q, step.key, step.now))
		if !strings.Contains(text, "x-amz-date: "+step.want+"\r\n") ||
			!strings.Contains(text, "Credential=a/"+step.key.day+"/eu-west-1/") {
			t.Errorf("at %s with the key of %s:\n%s", step.now, step.key.day, text)
		}
	}
}

// A request costs no memory beyond the buffers of its connection. The time is written anew once a second.
func TestARequestAllocatesNothing(t *testing.T) { // Not beside other tests: what these allocate would count.
	now := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	for name, session := range map[string]string{"keys": "", "keys of a session": "to/k+en="} {
		s := &signing{
			keys: Keys{Access: "a", Secret: "s", Session: session}, day: "20261126",
			key: dayKey("s", "20261126", "eu-west-1", "s3"),
		}
		c := newComposer(New(Config{
			Bucket: &url.URL{Scheme: "http", Host: "host", Path: "/bucket"}, Region: "eu-west-1", RequestPayer: true,
		}))
		task := &engine.Task{Key: "a b/\u00fc+=&?", ETag: "x", Version: "v+1/ =", Size: 2 * rangeSize}
		for what, q := range map[string]query{
			"all of an object": {method: "GET", task: task, whole: true, checksums: true},
			"a range":          {method: "GET", task: task, part: engine.Range{Offset: rangeSize, Length: rangeSize}},
		} {
			if n := testing.AllocsPerRun(100, func() { c.compose(q, s, now) }); n > 0 {
				t.Errorf("%s, %s: %v allocations", name, what, n)
			}
		}
	}
}
