// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// parse reads the product's own Go files that match a pattern from the top.
func parse(t *testing.T, pattern string) []*ast.File {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(top, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// constants are the values of the constants of a type, by their names.
func constants(files []*ast.File, typeName string) map[string]string {
	found := map[string]string{}
	inspect(files, func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != len(spec.Names) {
			return
		}
		if is, ok := spec.Type.(*ast.Ident); !ok || is.Name != typeName {
			return
		}
		for i, name := range spec.Names {
			if v, ok := text(spec.Values[i]); ok {
				found[name.Name] = v
			}
		}
	})
	return found
}

// conditions are the last parts of the values of the constants named Condition..., because
// some begin with a constant of another file.
func conditions(files []*ast.File) map[string]string {
	found := map[string]string{}
	inspect(files, func(n ast.Node) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Condition") {
			return
		}
		last := spec.Values[0]
		if sum, ok := last.(*ast.BinaryExpr); ok {
			last = sum.Y
		}
		if v, ok := text(last); ok {
			found[spec.Names[0].Name] = v
		}
	})
	return found
}

// literals are all strings with a prefix.
func literals(files []*ast.File, prefix string) map[string]bool {
	found := map[string]bool{}
	inspect(files, func(n ast.Node) {
		if e, ok := n.(ast.Expr); ok {
			if v, ok := text(e); ok && strings.HasPrefix(v, prefix) {
				found[v] = true
			}
		}
	})
	return found
}

// flags are the names given to the methods of a flag.FlagSet: the first argument of String,
// Int and their like, the second of StringVar and its like.
func flags(files []*ast.File) map[string]bool {
	found := map[string]bool{}
	inspect(files, func(n ast.Node) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return
		}
		kind, variable := strings.CutSuffix(method.Sel.Name, "Var")
		at := 0
		if variable {
			at = 1
		}
		switch kind {
		case "String", "Int", "Bool", "Duration":
		default:
			return
		}
		if len(call.Args) == at+3 { // Name, default and usage.
			if v, ok := text(call.Args[at]); ok {
				found[v] = true
			}
		}
	})
	return found
}

func inspect(files []*ast.File, visit func(ast.Node)) {
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if n != nil {
				visit(n)
			}
			return true
		})
	}
}

// text is the value of a string literal.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	v, err := strconv.Unquote(lit.Value)
	return v, err == nil
}
