// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// record is a watch over files that are numbers.
type record struct {
	placed func(i int) bool

	mu                 sync.Mutex
	arrived, contested []int
	troubles           []string
}

func (*record) Find(name string) (int, bool) {
	i, err := strconv.Atoi(name)
	return i, err == nil
}
func (*record) IsOurs(i int) bool    { return i >= 100 }
func (r *record) Contest(i int)      { r.contested = append(r.contested, i) }
func (r *record) InPlace(i int) bool { return r.placed(i) }
func (r *record) Trouble(err error) error {
	r.troubles = append(r.troubles, err.Error())
	return errEnough
}

var errEnough = errors.New("enough")

func (r *record) Arrived(_ context.Context, i int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived = append(r.arrived, i)
}

// TestFollow: each file that mc announces is told of once, whether it is in place or not, and one
// that mc must not write is contested.
func TestFollow(t *testing.T) {
	for name, placed := range map[string]func(int) bool{
		"all are in place at once": func(int) bool { return true },
		"none ever is":             func(int) bool { return false },
		"every other one is":       func(i int) bool { return i%2 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			r := &record{placed: placed}
			f := &follower{Watch: r, directory: "/volume/", started: make(chan int, 4), ready: make(chan int, 4)}
			stop := f.start(t.Context())
			var lines strings.Builder
			var want []int
			for i := range 60 {
				fmt.Fprintf(&lines, "{\"status\":\"success\",\"target\":\"/volume/%d\"}\n", i)
				want = append(want, i)
			}
			lines.WriteString(`{"status":"success","target":"/volume/100"}
{"status":"success","target":"/volume/of nobody"}
{"status":"success","target":"/elsewhere/1"}
{"status":"success","target":"/volume/1","total":1}
`)
			if err := readLines(strings.NewReader(lines.String()), f.read); err != nil {
				t.Fatal(err)
			}
			stop()
			slices.Sort(r.arrived)
			if diff := cmp.Diff(want, r.arrived); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]int{100}, r.contested); diff != "" {
				t.Errorf("contested (-want +got):\n%s", diff)
			}
		})
	}
}

// TestFollowIsStopped by what is made of a trouble.
func TestFollowIsStopped(t *testing.T) {
	r := &record{placed: func(int) bool { return true }}
	f := &follower{Watch: r, directory: "/volume/", started: make(chan int, 4), ready: make(chan int, 4)}
	defer f.start(t.Context())()
	text := `{"status":"error","error":{"message":"Failed to copy.","cause":{"message":"Access Denied."}}}` + "\n"
	if err := readLines(strings.NewReader(text+text), f.read); !errors.Is(err, errEnough) || len(r.troubles) != 1 {
		t.Errorf("it ends with %v, after the troubles %q", err, r.troubles)
	}
}
