// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/s3populator/s3populator/e2e/story"
)

// asked counts requests of the API server, without watches and without what an idle
// cluster asks too (leases, health, discovery).
type asked map[question]float64

// question is what one client asks: "kubelet", "patch pods/status".
type question struct{ agent, what string }

// meter takes the requests of everybody but this program since it was made.
type meter struct {
	world *story.World
	from  int
}

func newMeter(w *story.World) (*meter, error) {
	all, err := w.AllRequests()
	return &meter{world: w, from: len(all)}, err
}

// read is what was asked so far, for each of n.
func (m *meter) read(n int) (asked, error) {
	all, err := m.world.AllRequests()
	if err != nil {
		return nil, err
	}
	a := asked{}
	for _, r := range all[m.from:] {
		if r.Agent != filepath.Base(os.Args[0]) && r.Verb != "watch" {
			a[question{r.Agent, r.Verb + " " + r.Resource.Name}] += 1 / float64(n)
		}
	}
	return a, nil
}

func (a asked) total() (n float64) {
	for _, v := range a {
		n += v
	}
	return n
}

// compare prints who asks what, once per claim, where it is more than seldom.
func compare(out io.Writer, floor, ours asked) {
	const seldom = 0.2
	all := maps.Clone(floor)
	maps.Copy(all, ours)
	questions := slices.SortedFunc(maps.Keys(all), func(x, y question) int {
		return cmp.Or(cmp.Compare(x.agent, y.agent), cmp.Compare(x.what, y.what))
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "requests, each\t\tfloor\tours\n")
	for _, q := range questions {
		if max(floor[q], ours[q]) >= seldom {
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\n", q.agent, q.what, floor[q], ours[q])
		}
	}
	fmt.Fprintf(w, "all\t\t%.1f\t%.1f\n", floor.total(), ours.total())
	_ = w.Flush() // to a terminal; nothing to do about it
}
