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
	seen, declared := 0, map[string]bool{}
	eachGoFile(t, func(path string, text []byte) {
		if filepath.Dir(path) != "mover" || strings.HasSuffix(path, "_test.go") {
			return
		}
		seen++
		for _, s := range types(parse(t, path, text)) {
			declared[s.Name.Name] = true
		}
		for _, problem := range holdsAll(t, path, text) {
			t.Errorf("%s: %s; give it the parts that it uses, as fields", path, problem)
		}
	})
	if seen < 10 {
		t.Errorf("only %d files were found", seen)
	}
	for _, name := range joins {
		if !declared[name] {
			t.Errorf("there is no type %s any more that joins the parts: who does?", name)
		}
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
		"some movers":              {"all []*mover", 1},
		"some transfers":           {"all []*transfer", 0},
		"movers by name":           {"by map[string]mover", 1},
		"the names of movers":      {"of map[*mover]string", 1},
		"movers that come":         {"next chan *mover", 1},
		"a mover that may be none": {"now atomic.Pointer[mover]", 1},
		"one of two":               {"now pair[int, *mover]", 1},
		"an embedded generic":      {"box[*transfer]", 1},
		"who gives the mover":      {"get func() (*mover, error)", 1},
		"who is given it":          {"set func(int, *mover)", 1},
		"a struct within":          {"in struct { of *mover }", 1},
		"a field of that name":     {"mover int; in struct { mover int }", 0},
		"a length of that name":    {"all [mover]int", 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := holdsAll(t, "x.go", []byte("package mover\n\ntype x struct { "+tt.fields+" }\n"))
			if len(got) != tt.want {
				t.Errorf("found %q, want %d", got, tt.want)
			}
		})
	}
	for text, want := range map[string]int{
		"type x = mover": 1, "type x *mover": 1, "type x []mover": 1, "type x transfer": 1, "type x = *deviceLoad": 1,
		"type x []transfer": 0, "type x int": 0, "type x mc.mover": 0, "type x interface { mover() }": 0,
	} {
		if got := holdsAll(t, "x.go", []byte("package mover\n\n"+text+"\n")); len(got) != want {
			t.Errorf("%s: found %q, want %d", text, got, want)
		}
	}
}

// holdsAll names the types of the fields of structs by which a part would reach everything, and other names of those.
func holdsAll(t *testing.T, path string, text []byte) (found []string) {
	t.Helper()
	file := parse(t, path, text)
	for _, s := range types(file) {
		if _, isStruct := s.Type.(*ast.StructType); isStruct {
			continue
		}
		for _, name := range made(s.Type) {
			if name == joins[0] || plain(s.Type) && slices.Contains(joins, name) {
				found = append(found, s.Name.Name+" is made of "+name)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range s.Fields.List {
			for _, name := range made(f.Type) {
				if name == joins[0] || len(f.Names) == 0 && slices.Contains(joins, name) {
					found = append(found, "a struct holds "+name)
				}
			}
		}
		return true
	})
	return found
}

func parse(t *testing.T, path string, text []byte) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// types are the declarations of types in a file.
func types(file *ast.File) (all []*ast.TypeSpec) {
	ast.Inspect(file, func(n ast.Node) bool {
		if s, ok := n.(*ast.TypeSpec); ok {
			all = append(all, s)
		}
		return true
	})
	return all
}

// plain tells that a type is a name, or a pointer to one.
func plain(e ast.Expr) bool {
	if p, ok := e.(*ast.StarExpr); ok {
		e = p.X
	}
	_, ok := e.(*ast.Ident)
	return ok
}

// made are the names of the package itself that a type is made of. The fields of a struct are looked at by themselves.
func made(e ast.Expr) (names []string) {
	var of []ast.Expr
	switch e := e.(type) {
	case *ast.Ident:
		return []string{e.Name}
	case *ast.StarExpr:
		of = []ast.Expr{e.X}
	case *ast.ParenExpr:
		of = []ast.Expr{e.X}
	case *ast.ArrayType:
		of = []ast.Expr{e.Elt}
	case *ast.ChanType:
		of = []ast.Expr{e.Value}
	case *ast.MapType:
		of = []ast.Expr{e.Key, e.Value}
	case *ast.IndexExpr:
		of = []ast.Expr{e.X, e.Index}
	case *ast.IndexListExpr:
		of = slices.Concat(e.Indices, []ast.Expr{e.X})
	case *ast.FuncType:
		for _, list := range []*ast.FieldList{e.Params, e.Results} {
			if list == nil {
				continue
			}
			for _, f := range list.List {
				of = append(of, f.Type)
			}
		}
	}
	for _, part := range of {
		names = append(names, made(part)...)
	}
	return names
}
