// SPDX-License-Identifier: Apache-2.0

package architecture_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// joins are the types of package mover that join its parts. What embeds one of them, or has the first one as a field,
// reaches everything.
var joins = []string{"mover", "transfer", "importing", "deviceLoad"}

func TestPartsOfTheMoverDoNotHoldAllOfIt(t *testing.T) {
	seen := 0
	eachGoFile(t, func(path string, text []byte) {
		if filepath.Dir(path) != "mover" || strings.HasSuffix(path, "_test.go") {
			return
		}
		seen++
		for _, problem := range holdsAll(t, path, text) {
			t.Errorf("%s: %s; give it the parts that it uses, as fields", path, problem)
		}
	})
	if seen < 10 {
		t.Errorf("only %d files were found", seen)
	}
}

func TestHoldingAllCanBeFound(t *testing.T) {
	for name, tt := range map[string]struct {
		fields string
		want   int
	}{
		"parts":                    {"log *logger; plan *plan.Plan", 0},
		"the mover":                {"*mover", 1},
		"the mover as a field":     {"of *mover", 1},
		"the mover as a value":     {"mover", 1},
		"a transfer":               {"*transfer; n int", 1},
		"a transfer as a field":    {"transfer *transfer", 0},
		"a type of another folder": {"*mc.mover", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := holdsAll(t, "x.go", []byte("package mover\n\ntype x struct { "+tt.fields+" }\n"))
			if len(got) != tt.want {
				t.Errorf("found %q, want %d", got, tt.want)
			}
		})
	}
}

// holdsAll names the types of the fields of structs by which a part would reach everything.
func holdsAll(t *testing.T, path string, text []byte) (found []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			name := nameOf(f.Type)
			if name == joins[0] || len(f.Names) == 0 && slices.Contains(joins, name) {
				found = append(found, "a struct holds "+name)
			}
		}
		return true
	})
	return found
}

// nameOf a type, or a pointer to one, of the package itself.
func nameOf(e ast.Expr) string {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	if i, ok := e.(*ast.Ident); ok {
		return i.Name
	}
	return ""
}
