// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const books = `
spec:
  group: example.org
  names: {kind: Book, plural: books, shortNames: [bk]}
  versions:
    - name: v1
      additionalPrinterColumns:
        - {name: Title, jsonPath: .spec.title}
        - {name: Pages, jsonPath: .spec.pages, priority: 1}
      schema:
        openAPIV3Schema:
          description: |-
            Book is
            a book.
          properties:
            spec:
              required: [title]
              properties:
                title: {type: string, description: a|b, minLength: 3, maxLength: 9}
                pages: {type: integer, minimum: 0, maximum: 7, default: 5}
                cover: {type: string, default: Soft, enum: [Soft, Hard]}
                rest: {type: object, default: {}}
                parts:
                  type: array
                  maxItems: 4
                  items:
                    type: object
                    properties:
                      due: {type: string, format: date-time}
                    x-kubernetes-validations:
                      - {rule: "true", message: a part is a part}
              x-kubernetes-validations:
                - {rule: "true", message: a book is a book}
`

const booksPage = `
## Book

¤apiVersion: example.org/v1¤, ¤kubectl get books¤ or ¤kubectl get bk¤

Book is a book.

Columns: Title (¤spec.title¤).
With ¤-o wide¤ also: Pages (¤spec.pages¤).

### Book spec

| Field | Type | Default | Meaning |
| --- | --- | --- | --- |
| ¤spec.cover¤ | string | ¤Soft¤ | One of ¤Soft¤, ¤Hard¤. |
| ¤spec.pages¤ | integer | ¤5¤ | 0 to 7. |
| ¤spec.parts¤ | list of object |  | At most 4 entries. |
| ¤spec.parts[].due¤ | time |  |  |
| ¤spec.rest¤ | object |  |  |
| ¤spec.title¤ | string | required | a\|b 3 to 9 characters. |

Beside types, lengths and enumerations the API server checks these rules, and answers with:

- ¤spec¤: a book is a book
- ¤spec.parts[]¤: a part is a part
`

func TestKindPrintsEveryFieldOnce(t *testing.T) {
	var d definition
	if err := yaml.Unmarshal([]byte(books), &d); err != nil {
		t.Fatal(err)
	}
	p := newPage()
	p.kind(d)
	want := strings.ReplaceAll(booksPage, "¤", "`")
	if diff := cmp.Diff(want, p.String()); diff != "" {
		t.Errorf("page (-want +got):\n%s", diff)
	}
}

func TestForeignTypesThatAreGoneAreReported(t *testing.T) {
	err := newPage().unused()
	if err == nil || !strings.Contains(err.Error(), "spec.claimSelector") {
		t.Errorf("got error %v, want one that names spec.claimSelector", err)
	}
}

func TestRunRefusesAFolderWithoutDefinitions(t *testing.T) {
	err := run(&strings.Builder{}, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "run from the top of the repository") {
		t.Errorf("got error %v, want one that says where to run", err)
	}
}

// TestReferenceIsCurrent is what `make verify` checks too, within a second.
func TestReferenceIsCurrent(t *testing.T) {
	top := filepath.Join("..", "..")
	var got strings.Builder
	if err := run(&got, filepath.Join(top, definitions)); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(top, "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("docs/api.md is not current, run `make generate` (-file +generated):\n%s", diff)
	}
}
