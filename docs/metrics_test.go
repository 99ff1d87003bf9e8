// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/ast"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/s3populator/s3populator/internal/counters"
	_ "github.com/s3populator/s3populator/populator"        // Registers its metrics.
	_ "github.com/s3populator/s3populator/transfer/export"  // As above.
	_ "github.com/s3populator/s3populator/transfer/imports" // As above.
)

// scraped are the values of the counters with a label that a manager serves at its start, by the value of that.
func scraped(t *testing.T) map[string]map[string]float64 {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if !strings.HasPrefix(f.GetName(), "s3populator_") || m.GetCounter() == nil || len(m.GetLabel()) == 0 {
				continue
			}
			if found[f.GetName()] == nil {
				found[f.GetName()] = map[string]float64{}
			}
			found[f.GetName()][m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return found
}

// TestCountersAreThereFromTheStart: a scrape of a manager that has just started has a series of each reason, at 0, so
// that increase() sees the first failure. Which reasons end a run is in the tables.
func TestCountersAreThereFromTheStart(t *testing.T) {
	page := document(t, operations)
	movers := slices.Collect(maps.Keys(rows(section(t, page, "Reasons of a mover"))))
	ending := func(heading, state string) (reasons []string) {
		for reason, cells := range rows(section(t, page, heading)) {
			if strings.Contains(cells[0], state) {
				reasons = append(reasons, reason)
			}
		}
		return reasons
	}
	problems := slices.DeleteFunc(ending("Reasons on a claim", "False"), func(r string) bool {
		return r == "NotPopulated" // Of claims that are not to be filled.
	})
	writes := slices.Collect(maps.Values(constants(parse(t, "populator/protocol/decide.go"), "Action")))
	writes = slices.DeleteFunc(writes, func(action string) bool { return action == "Wait" })
	want := map[string]map[string]float64{}
	for name, values := range map[string][]string{
		"s3populator_mover_failures_total":        movers,
		"s3populator_export_mover_failures_total": movers,
		"s3populator_import_mover_failures_total": movers,
		"s3populator_export_failures_total":       append(ending("Reasons on an S3Export", "Failed"), movers...),
		"s3populator_import_failures_total":       append(ending("Reasons on an S3Import", "Failed"), movers...),
		"s3populator_population_problems_total": slices.Concat(problems, movers,
			[]string{"InvalidAnnotations", "SourceConflict"}), // In the table of events.
		"s3populator_failed_writes_total": append(writes, "Condition", "Import"),
	} {
		want[name] = map[string]float64{counters.Other: 0}
		for _, v := range values {
			want[name][v] = 0
		}
		if len(want[name]) < 15 {
			t.Errorf("only %d values of %s were found; have the tables changed?", len(want[name]), name)
		}
	}
	if diff := cmp.Diff(want, scraped(t)); diff != "" {
		t.Errorf("series of a manager that has just started (-%s +scraped):\n%s", operations, diff)
	}
}

// TestWhateverEndsARunSaysSo: the tables have the phase Failed where the code has it.
func TestWhateverEndsARunSaysSo(t *testing.T) {
	names := constants(parse(t, conditionsFile), "Reason")
	for heading, pattern := range map[string]string{
		"Reasons on an S3Export": "transfer/export/protocol/*.go", "Reasons on an S3Import": "transfer/imports/protocol/*.go",
	} {
		documented, found := rows(section(t, document(t, operations), heading)), 0
		inspect(parse(t, pattern), func(n ast.Node) {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return
			}
			f, isName := call.Fun.(*ast.Ident)
			reason, isReason := call.Args[0].(*ast.SelectorExpr)
			if !isName || f.Name != "failing" || !isReason {
				return
			}
			found++
			if cells := documented[names[reason.Sel.Name]]; len(cells) == 0 || !strings.Contains(cells[0], "Failed") {
				t.Errorf("%s: no phase Failed in the row of %s", heading, reason.Sel.Name)
			}
		})
		if found < 5 {
			t.Errorf("only %d calls were found in %s; have they another name?", found, pattern)
		}
	}
}
