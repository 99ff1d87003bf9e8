// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"reflect"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// changes has a change of every field of a source, and what an import that has begun says of it: nothing where what is
// loaded, and where to, stays the same. A field that is missing here was added without a decision.
var changes = map[string]struct {
	change func(*source)
	says   string
}{
	"endpoint":   {func(s *source) { s.Endpoint = "https://b" }, `endpoint was "https://a" and is "https://b"`},
	"bucket":     {func(s *source) { s.Bucket = "other" }, `bucket was "models" and is "other"`},
	"prefix":     {func(s *source) { s.Prefix = "v2" }, `prefix was "v1/" and is "v2/"`},
	"prefixMode": {func(s *source) { s.PrefixMode = "Literal" }, `prefix was "v1/" and is "v1"`},
	"objects":    {func(s *source) { s.Objects = objects{{Key: "v1/a"}} }, "objects are others"},
	"include":    {func(s *source) { s.Include = []string{"b"} }, "include or exclude are others"},
	"exclude":    {func(s *source) { s.Exclude = []string{"a"} }, "include or exclude are others"},
	"targetPath": {func(s *source) { s.TargetPath = "" }, `targetPath was "data" and is ""`},
	// fromExport is not there any more where its prefix is: see TestAnotherRunIsAnotherSelection.
	"fromExport": {func(s *source) { s.FromExport = nil }, ""},

	// With an endpoint the region is only signed.
	"region":            {func(s *source) { s.Region = "eu-2" }, ""},
	"addressing":        {func(s *source) { s.Addressing = "Path" }, ""},
	"credentials":       {func(s *source) { s.Credentials = &v1alpha1.Credentials{ServiceAccountName: "x"} }, ""},
	"tls":               {func(s *source) { s.TLS = &v1alpha1.TLS{InsecureSkipVerify: true} }, ""},
	"requestPayer":      {func(s *source) { s.RequestPayer = true }, ""},
	"files":             {func(s *source) { s.Files = &v1alpha1.Files{} }, ""},
	"restoreAttributes": {func(s *source) { s.RestoreAttributes = true }, ""}, // refuseSource ends the run.
	"sizing":            {func(s *source) { s.Sizing.OnTooSmall = "Grow" }, ""},
	"onEmpty":           {func(s *source) { s.OnEmpty = "Allow" }, ""},
	"unsafeKeys":        {func(s *source) { s.UnsafeKeys = "Skip" }, ""}, // With Fail nothing is loaded beside such keys.
	"transfer":          {func(s *source) { s.Transfer.Bandwidth = "1Mi" }, ""},
	"mover":             {func(s *source) { s.Mover.PriorityClassName = "high" }, ""},
	"retries":           {func(s *source) { s.Retries.Limit = new(int32(1)) }, ""},
	"refreshInterval":   {func(s *source) { s.RefreshInterval = &metav1.Duration{Duration: time.Hour} }, ""},
	"claimSelector":     {func(s *source) { s.ClaimSelector = &metav1.LabelSelector{} }, ""},
}

// begunWith is an import that has begun to load what a source selects.
func begunWith(t *testing.T, spec source) State {
	t.Helper()
	s := world(begunOnce, func(s *State) { s.Source.Spec = spec })
	selection, err := SelectionOf(s.Import.Spec, s.Source)
	if err != nil {
		t.Fatal(err)
	}
	s.Import.Status.Selection = &selection
	return s
}

func TestEveryFieldOfASourceIsSelectionOrNot(t *testing.T) {
	t.Parallel()
	spec := source{Prefix: "v1", TargetPath: "data", Include: []string{"a"}, S3Location: v1alpha1.S3Location{
		Endpoint: "https://a", Region: "eu-1", Bucket: "models",
	}}
	placed := 0
	for _, f := range reflect.VisibleFields(reflect.TypeFor[source]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			continue // An inlined struct, whose fields are visited.
		}
		row, ok := changes[name]
		if !ok {
			t.Errorf("spec.%s: add it to SelectionOf if it decides what is loaded or where to, and to this test", name)
			continue
		}
		placed++
		s := begunWith(t, spec)
		row.change(&s.Source.Spec)
		if got := s.selectsOther(); got != row.says {
			t.Errorf("another %s: %q, want %q", name, got, row.says)
		}
	}
	if placed != len(changes) {
		t.Errorf("%d of %d fields exist", placed, len(changes))
	}
}

// What is written in another way is the same selection.
func TestSameSelectionInOtherWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string][2]source{
		"a directory's slash":       {{Prefix: "a"}, {Prefix: "a/"}},
		"a literal directory":       {{Prefix: "a"}, {Prefix: "a/", PrefixMode: "Literal"}},
		"an endpoint's slash":       {{S3Location: at("http://a")}, {S3Location: at("http://a/")}},
		"the order of globs":        {{Include: []string{"a", "b"}}, {Include: []string{"b", "a"}}},
		"the order of objects":      {{Objects: objects{{Key: "a"}, {Key: "b"}}}, {Objects: objects{{Key: "b"}, {Key: "a"}}}},
		"the path that is the key":  {{Objects: objects{{Key: "a"}}}, {Objects: objects{{Key: "a", Path: "a"}}}},
		"a default of the server's": {{}, {PrefixMode: "Directory"}},
	} {
		s := begunWith(t, c[0])
		s.Source.Spec = c[1]
		if got := s.selectsOther(); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	for name, c := range map[string][2]source{
		"a version":        {{Objects: objects{{Key: "a"}}}, {Objects: objects{{Key: "a", VersionID: "1"}}}},
		"a path":           {{Objects: objects{{Key: "a"}}}, {Objects: objects{{Key: "a", Path: "b"}}}},
		"a glob elsewhere": {{Include: []string{"a"}}, {Exclude: []string{"a"}}},
		"a region of AWS's": {
			{S3Location: v1alpha1.S3Location{Region: "eu-1"}}, {S3Location: v1alpha1.S3Location{Region: "cn-1"}},
		},
	} {
		s := begunWith(t, c[0])
		s.Source.Spec = c[1]
		if s.selectsOther() == "" {
			t.Errorf("%s is the same", name)
		}
	}
}

func at(endpoint string) v1alpha1.S3Location { return v1alpha1.S3Location{Endpoint: endpoint} }

// An export below the prefix of another one is not what that was, and a source that names another run ends the import.
func TestAnotherRunIsAnotherSelection(t *testing.T) {
	t.Parallel()
	s := world()
	s.Source.Status.FromExport = &v1alpha1.SourceExport{UID: "e-1"}
	selection, err := SelectionOf(s.Import.Spec, s.Source)
	if err != nil || selection.ExportUID != "e-1" {
		t.Fatalf("selected %+v: %v", selection, err)
	}
	s.Import.Status.Selection = &selection
	if d := Decide(s, defaults); d.Action != StartMover {
		t.Errorf("of the same run: decided %+v", d)
	}
	s.Source.Status.FromExport = &v1alpha1.SourceExport{UID: "e-2"}
	if d := Decide(s, defaults); d.Phase != v1alpha1.ImportFailed || d.Reason != v1alpha1.ReasonSelectionChanged ||
		!strings.Contains(d.Message, "fromExport names another run") {
		t.Errorf("of another run: decided %+v", d)
	}
}

// What an import itself narrows is compared, not what the source selects beside it.
func TestOnlyWhatIsLoadedIsCompared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change change
		says   string
	}{
		"the source selects more": {func(s *State) { s.Source.Spec.Prefix = "" }, `targetPath was "sub" and is "beta/sub"`},
		"and less":                {func(s *State) { s.Source.Spec.Prefix = "beta/sub" }, `targetPath was "sub" and is ""`},
		"and other things":        {edited, "spec.prefix"},
	} {
		s := world(func(s *State) {
			s.Import.Spec.Prefix = "beta/sub"
			s.Import.Status.Selection = &v1alpha1.ImportSelection{
				Server: "https://s3.test", Bucket: "models", Prefix: "beta/sub/", TargetPath: "sub",
			}
		}, mover(corev1.PodRunning))
		if s.selectsOther() != "" {
			t.Fatalf("as it was: %s", s.selectsOther())
		}
		tt.change(&s)
		if got := s.selectsOther(); !strings.Contains(got, tt.says) {
			t.Errorf("%s: %q, want %q", name, got, tt.says)
		}
		s.Import.Spec.TargetPath = "sub" // Of the first two this is what differs.
		if tt.says != "spec.prefix" && s.selectsOther() != "" {
			t.Errorf("%s, into a directory of the import's own: %s", name, s.selectsOther())
		}
	}
}
