// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Every write that can be refused is named in words, not by our name of it.
func TestEveryRefusedActionIsNamed(t *testing.T) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "decide.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); !ok || kind.Name != "Action" {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		d := WriteRefused(world(filledPrime), Decision{Action: Action(name)}, "no.")
		if name != string(Wait) &&
			(strings.Contains(d.Message, "("+name+")") || !strings.HasSuffix(d.Message, ": no. It is tried again at least "+
				"once a minute.")) {
			t.Errorf("%s: %q", name, d.Message)
		}
		return true
	})
	if found < 10 {
		t.Errorf("only %d actions were found", found)
	}
}

// A complete claim stays so, whatever is refused afterwards.
func TestARefusalDoesNotTakeCompletenessBack(t *testing.T) {
	d := WriteRefused(world(filledPrime, boundToOurs, toldOfSuccess), Decision{Action: DeletePrime}, "no")
	if d.Reason != "" || d.Announce != v1alpha1.ReasonWriteRefused {
		t.Errorf("decided %+v", d)
	}
	if d = WriteRefused(world(), Decision{Action: CreatePrime}, "no"); d.Status != corev1.ConditionUnknown {
		t.Errorf("decided %+v", d)
	}
}
