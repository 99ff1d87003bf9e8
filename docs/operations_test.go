// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

const operations = "docs/operations.md"

// conditionsFile holds every reason that the manager itself gives.
const conditionsFile = "api/v1alpha1/conditions.go"

func TestEveryReasonOfTheManagerHasARow(t *testing.T) {
	page := document(t, operations)
	documented := rows(section(t, page, "Reasons on a claim"))
	maps.Copy(documented, rows(section(t, page, "Reasons on an S3Source")))
	maps.Copy(documented, rows(section(t, page, "Reasons of exports on a claim")))
	maps.Copy(documented, rows(section(t, page, "Reasons on an S3ExportPolicy")))
	maps.Copy(documented, rows(section(t, page, "Reasons on an S3Export")))
	maps.Copy(documented, rows(section(t, page, "Reasons on an S3Import")))
	maps.Copy(documented, rows(section(t, page, "Reasons of an export before deletion")))
	reasons := constants(parse(t, conditionsFile), "Reason")
	compare(t, conditionsFile, slices.Sorted(maps.Values(reasons)), documented)
}

func TestEveryReasonOfAMoverHasARow(t *testing.T) {
	documented := rows(section(t, document(t, operations), "Reasons of a mover"))
	reasons := constants(parse(t, "mover/wire/*.go"), "Reason")
	compare(t, "mover/wire", slices.Sorted(maps.Values(reasons)), documented)
	for reason, cells := range documented {
		if class := wire.Reason(reason).Class(); cells[0] != string(class) {
			t.Errorf("%s: its row says class %q, a mover ends with %q", reason, cells[0], class)
		}
	}
}

func TestEveryMetricHasARow(t *testing.T) {
	documented := rows(section(t, document(t, operations), "Metrics"))
	metrics := map[string]bool{}
	for _, pattern := range []string{
		"populator/*.go", "populator/*/*.go", "transfer/*/*.go", "certs/*.go", "cmd/manager/*.go",
	} {
		maps.Copy(metrics, literals(parse(t, pattern), "s3populator_"))
	}
	compare(t, "the collectors", slices.Sorted(maps.Keys(metrics)), documented)
}

func TestEveryFlagHasARow(t *testing.T) {
	documented := map[string][]string{}
	for name, cells := range rows(section(t, document(t, operations), "Flags of the manager")) {
		documented[strings.TrimPrefix(name, "--")] = cells
	}
	compare(t, "cmd/manager/options.go", slices.Sorted(maps.Keys(flags(parse(t, "cmd/manager/options.go")))), documented)
}

func TestEveryExitCodeHasARow(t *testing.T) {
	codes := section(t, document(t, operations), "Exit codes")
	for _, class := range []wire.Class{wire.Done, wire.User, wire.Retry, wire.RetryUncounted} {
		row := "| " + strconv.Itoa(class.ExitCode()) + " | " + string(class) + " | "
		if !strings.Contains(codes, row) {
			t.Errorf("no row that begins %q", row)
		}
	}
}

func TestEveryConditionIsNamed(t *testing.T) {
	page := document(t, operations)
	found := 0
	for name, value := range conditions(parse(t, conditionsFile)) {
		found++
		if !strings.Contains(page, value+"`") {
			t.Errorf("condition %s (%s) is not named", name, value)
		}
	}
	if found < 4 {
		t.Errorf("only %d conditions were found", found)
	}
}

// TestEveryPermissionIsExplained: who grants a right wants to know what for.
func TestEveryPermissionIsExplained(t *testing.T) {
	explained := section(t, document(t, operations), "Permissions")
	found := 0
	const next = "\n---\n"
	roles := document(t, "manifests/rbac/role.yaml") + next + document(t, "manifests/rbac/certificates_role.yaml")
	for role := range strings.SplitSeq(roles, next) {
		var r struct {
			Rules []struct {
				Resources []string `json:"resources"`
			} `json:"rules"`
		}
		if err := yaml.Unmarshal([]byte(role), &r); err != nil {
			t.Fatal(err)
		}
		for _, rule := range r.Rules {
			for _, resource := range rule.Resources {
				found++
				if !strings.Contains(explained, "`"+resource+"`") &&
					!strings.Contains(explained, "`"+strings.TrimSuffix(resource, "/status")+"`") {
					t.Errorf("no row for %s", resource)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d resources were found", found)
	}
}

// compare wants exactly these rows, and something in each of their cells.
func compare(t *testing.T, where string, want []string, documented map[string][]string) {
	t.Helper()
	if len(want) < 3 {
		t.Fatalf("only %q were found in %s; has its shape changed?", want, where)
	}
	got := slices.Sorted(maps.Keys(documented))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows of %s (-%s +documented):\n%s", operations, where, diff)
	}
	for name, cells := range documented {
		if last := cells[len(cells)-1]; last == "" {
			t.Errorf("%s: its row says nothing", name)
		}
	}
}

// An uninstallation ends no export of a claim that is being deleted, takes no policy away that says where to, and stops
// at the first command that fails.
func TestUninstallingEndsNoFinalExport(t *testing.T) {
	page := section(t, document(t, operations), "Upgrade, outage, uninstall")
	before, after, found := strings.Cut(page, "kubectl delete -k manifests/default")
	script := before[strings.LastIndex(before, "```sh\n")+len("```sh\n"):]
	if !found || !strings.HasPrefix(after, " &&\n") {
		t.Fatalf("there is no such script:\n%s", page)
	}
	others := "-l '" + v1alpha1.LabelRole + "!=" + v1alpha1.RoleFinalExport + "'"
	for line := range strings.Lines(script) {
		if !strings.HasSuffix(line, " &&\n") && line != "" {
			t.Errorf("what comes after it is done although it failed: %s", line)
		}
		if strings.Contains(line, "delete s3exportpolicies") ||
			strings.Contains(line, "delete s3exports") && !strings.Contains(line, others) {
			t.Errorf("claims that are being deleted lose their export: %s", line)
		}
	}
	if !strings.Contains(script, "condition=Complete") {
		t.Errorf("it does not wait for the Job:\n%s", script)
	}
}
