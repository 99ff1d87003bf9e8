// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"go/ast"
	"go/parser"
	"go/token"
	"testing"
)

// TestEveryReasonHasAClass reads the source, because Go cannot list the constants of a type.
func TestEveryReasonHasAClass(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != "Reason" {
			return true
		}
		for _, name := range spec.Names {
			reasons++
			if _, ok := classes[Reason(name.Name)]; !ok {
				t.Errorf("%s has no class", name.Name)
			}
		}
		return true
	})
	if reasons == 0 || reasons != len(classes) {
		t.Errorf("%d reasons, %d classes", reasons, len(classes))
	}
}

func TestTheReasonOfAnotherVersionIsTriedAgain(t *testing.T) {
	t.Parallel()
	if c := Reason("NotKnownHere").Class(); c != Retry {
		t.Errorf("its class is %s", c)
	}
}
