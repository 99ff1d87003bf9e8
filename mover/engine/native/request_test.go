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
