// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func walls(seconds ...float64) (out []usage) {
	for _, s := range seconds {
		out = append(out, usage{Wall: s, CPU: s / 2, RSS: 10 * s})
	}
	return out
}

// sample has a different speed of the machine in each round: ratios do not see it.
func sample(name string, engines ...row) *result {
	return &result{Set: name, Target: onMemory, Rows: append(engines,
		row{Tool: mc, Runs: walls(10, 20, 30)},
		row{Tool: s5cmd, Runs: walls(5, 10, 15)},
		row{Tool: rclone, Runs: walls(6, 6, 15)},
		row{Tool: tuned, Runs: walls(4, 8, 16)},
		row{Tool: limit, Runs: walls(1, 2, 3)},
	)}
}

func TestSpread(t *testing.T) {
	for name, tt := range map[string]struct {
		values []float64
		want   spread
	}{
		"one":  {[]float64{3}, spread{3, 3, 3}},
		"odd":  {[]float64{5, 1, 3}, spread{3, 1, 5}},
		"even": {[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(tt.values); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.median) {
		t.Errorf("nothing has the median %v", got.median)
	}
}

func TestSummaryIsOfNativeWhereThereIsOne(t *testing.T) {
	withNative := sample("small", row{Tool: native, Runs: walls(2, 4, 9)}, row{Tool: withMC, Runs: walls(20, 40, 60)})
	without := sample("mib", row{Tool: native, Absent: "unknown"}, row{Tool: withMC, Runs: walls(20, 40, 60)})
	disk := sample("mixed", row{Tool: withMC, Runs: walls(1)})
	disk.Target = onDisk
	closing := sample("small_closing", row{Tool: withMC, Runs: walls(1)})
	text, err := json.Marshal(
		summary([]*result{withNative, without, disk, closing}, &resumption{Kills: []kill{{Refetched: 1}, {Refetched: 7}}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"mib":{"cpu_vs_s5cmd":4,"rss_mb":400,"vs_limit":20,"vs_mc":2,"vs_rclone":5,"vs_s5cmd":4},` +
		`"refetched_mb":7,` +
		`"small":{"cpu_vs_s5cmd":0.4,"rss_mb":40,"vs_limit":2,"vs_mc":0.2,"vs_rclone":0.6,"vs_s5cmd":0.4}}`
	if string(text) != want {
		t.Errorf("the last line is\n%s\nwant\n%s", text, want)
	}
}

func TestMarkdownShowsRatiosAndAims(t *testing.T) {
	r := sample("small", row{Tool: native, Absent: "unknown transfer.engine"}, row{Tool: withMC, Runs: walls(20, 40, 60)})
	text := markdown([]*result{r}, nil)
	for _, want := range []string{
		"| mover, Native | absent |",
		"| **mover, MC** | 40.00 (20.00-60.00) | 20.00 (10.00-30.00) | 600 | | | |",
		"| mc mirror | 20.00 (10.00-30.00) | 10.00 (5.00-15.00) | 300 | 2.00 (2.00-2.00) | 2.00 (2.00-2.00) |  |",
		"| small | vs_limit | 20.00 (20.00-20.00) | 1.5 | missed |",
	} {
		if !strings.Contains(strings.ReplaceAll(text, " |  |  |  |", " | | | |"), want) {
			t.Errorf("the text lacks\n%s\nit is\n%s", want, text)
		}
	}
	if strings.Contains(text, "NaN") {
		t.Errorf("a figure is no number:\n%s", text)
	}
}

func TestTheDocumentKeepsWhatPeopleWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), "benchmarks.md")
	if err := os.WriteFile(path, []byte("above\n"+beginMark+"\nold\n"+endMark+"\nbelow\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := updateDocument(path, "new\n"); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if want := "above\n" + beginMark + "\n\nnew\n\n" + endMark + "\nbelow\n"; err != nil || string(text) != want {
		t.Errorf("the document is %q (%v), want %q", text, err, want)
	}
	if err := os.WriteFile(path, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := updateDocument(path, "new\n"); err == nil || !strings.Contains(err.Error(), beginMark) {
		t.Errorf("without marks: %v", err)
	}
}

func TestTheRealDocumentHasItsMarks(t *testing.T) {
	text, err := os.ReadFile("../../../docs/benchmarks.md")
	if err != nil || !strings.Contains(string(text), beginMark) || !strings.Contains(string(text), endMark) {
		t.Errorf("docs/benchmarks.md lacks its marks (%v)", err)
	}
}
