// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/google/go-cmp/cmp"
	jsonpatchv2 "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files")

// cluster is what a review sees besides the claim; it answers as a client does, with copies.
type cluster struct {
	client.Reader
	sources map[client.ObjectKey]*v1alpha1.S3Source
	classes map[string]*storagev1.StorageClass
	drivers map[string]*storagev1.CSIDriver
	fault   error
}

func (c *cluster) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if wrong := content.IsPathSegmentName(key.Name); len(wrong) > 0 {
		return fmt.Errorf("invalid resource name %q: %v", key.Name, wrong)
	}
	switch into := into.(type) {
	case *v1alpha1.S3Source:
		if s := c.sources[key]; s != nil {
			s.DeepCopyInto(into)
			return c.fault
		}
	case *storagev1.StorageClass:
		if s := c.classes[key.Name]; s != nil {
			s.DeepCopyInto(into)
			return c.fault
		}
	case *storagev1.CSIDriver:
		if s := c.drivers[key.Name]; s != nil {
			s.DeepCopyInto(into)
			return c.fault
		}
	default:
		return fmt.Errorf("unexpected read of %T", into)
	}
	if c.fault != nil {
		return c.fault
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (c *cluster) List(_ context.Context, into client.ObjectList, o ...client.ListOption) error {
	options := (&client.ListOptions{}).ApplyOptions(o)
	for key, s := range c.sources {
		if key.Namespace == options.Namespace {
			list := into.(*v1alpha1.S3SourceList)
			list.Items = append(list.Items, *s.DeepCopy())
		}
	}
	return c.fault
}

// reviewed is one *.in.yaml: a review, and the cluster that it meets.
type reviewed struct {
	request   admission.Request
	cluster   *cluster
	selecting bool
}

func load(t testing.TB, file string) reviewed {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := reviewed{
		cluster: &cluster{
			sources: map[client.ObjectKey]*v1alpha1.S3Source{},
			classes: map[string]*storagev1.StorageClass{},
			drivers: map[string]*storagev1.CSIDriver{},
		},
	}
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return r
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := r.add(document); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
	}
}

// add takes one document in.
func (r *reviewed) add(document []byte) error {
	var kind metav1.TypeMeta
	if err := sigsyaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind.Kind {
	case "AdmissionReview":
		review := admissionv1.AdmissionReview{}
		err := sigsyaml.UnmarshalStrict(document, &review)
		r.request = admission.Request{AdmissionRequest: *review.Request}
		return err
	case "Namespace":
		namespace := corev1.Namespace{}
		err := sigsyaml.UnmarshalStrict(document, &namespace)
		r.selecting = namespace.Labels[v1alpha1.LabelInjection] == v1alpha1.InjectionEnabled
		return err
	case "S3Source":
		source := &v1alpha1.S3Source{}
		err := sigsyaml.UnmarshalStrict(document, source)
		r.cluster.sources[client.ObjectKeyFromObject(source)] = source
		return err
	case "StorageClass":
		class := &storagev1.StorageClass{}
		err := sigsyaml.UnmarshalStrict(document, class)
		r.cluster.classes[class.Name] = class
		return err
	case "CSIDriver":
		driver := &storagev1.CSIDriver{}
		err := sigsyaml.UnmarshalStrict(document, driver)
		r.cluster.drivers[driver.Name] = driver
		return err
	}
	return fmt.Errorf("unexpected kind %q", kind.Kind)
}

// claims is the handler that the API server calls for the review.
func (r *reviewed) claims() *Claims {
	return &Claims{Reader: r.cluster, Live: r.cluster, Decoder: admission.NewDecoder(scheme()), Selecting: r.selecting}
}

func scheme() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, batchv1.AddToScheme, storagev1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err)
		}
	}
	return s
}

func TestReviews(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) < 50 {
		t.Fatalf("found %d reviews, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".in.yaml")
		t.Run(name, func(t *testing.T) {
			r := load(t, file)
			response := r.claims().Handle(t.Context(), r.request)
			golden(t, name, outcomeOf(t, response))
			if wrong := misnamed(name, response); wrong != "" {
				t.Error(wrong)
			}
			if response.Allowed && len(response.Patches) > 0 {
				againUnchanged(t, r, response)
			}
		})
	}
}

// againUnchanged sends the patched claim in, as a reinvocation does, under another UID.
func againUnchanged(t *testing.T, r reviewed, response admission.Response) {
	t.Helper()
	r.request.Object.Raw = apply(t, r.request.Object.Raw, response)
	r.request.UID = "another"
	again := r.claims().Handle(t.Context(), r.request)
	if !again.Allowed || len(again.Patches) > 0 {
		t.Errorf(
			"reviewed again: allowed %t (%s), patch %v; want it allowed and unchanged",
			again.Allowed,
			errorText(again),
			again.Patches,
		)
	}
	for _, w := range again.Warnings { // The API server shows those of both reviews, each once.
		if !slices.Contains(response.Warnings, w) {
			t.Errorf("the second review warns of something else: %s", w)
		}
	}
}

// apply does what the API server does with a patch.
func apply(t testing.TB, raw []byte, response admission.Response) []byte {
	t.Helper()
	text, err := json.Marshal(response.Patches)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(raw)
	if err != nil {
		t.Fatalf("the patch %s cannot be applied to %s: %v", text, raw, err)
	}
	return patched
}

func errorText(response admission.Response) string {
	if response.Allowed {
		return ""
	}
	return fmt.Sprintf("%d %s\n%s", response.Result.Code, response.Result.Reason, response.Result.Message)
}

// outcome is one *.out.yaml: all that a review answers. Every review has one, because a file
// that is absent would say nothing.
type outcome struct {
	Allowed  bool              `json:"allowed"`
	Code     int32             `json:"code,omitempty"`
	Reason   string            `json:"reason,omitempty"`
	Message  string            `json:"message,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	Patch    []json.RawMessage `json:"patch,omitempty"`
}

// outcomeOf is the text of a *.out.yaml. The order of a patch's operations is not ours.
func outcomeOf(t *testing.T, response admission.Response) string {
	t.Helper()
	o := outcome{Allowed: response.Allowed, Warnings: response.Warnings}
	if !o.Allowed {
		o.Code, o.Reason, o.Message = response.Result.Code, string(response.Result.Reason), response.Result.Message
	}
	for _, p := range response.Patches {
		o.Patch = append(o.Patch, json.RawMessage(p.Json()))
	}
	slices.SortFunc(o.Patch, func(a, b json.RawMessage) int { return bytes.Compare(a, b) })
	text, err := sigsyaml.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// misnamed tells how the outcome of a review is not what the beginning of its name says.
func misnamed(name string, response admission.Response) string {
	kind, _, _ := strings.Cut(name, "-")
	patched, warned := len(response.Patches) > 0, len(response.Warnings) > 0
	switch {
	case (kind == "error") == response.Allowed:
		return fmt.Sprintf("allowed is %t, but only what is refused, and all of that, is named error-", response.Allowed)
	case kind == "warning" && !warned:
		return "it is named warning-, but there is none"
	case kind == "untouched" && (patched || warned):
		return "it is named untouched, but there is a patch or a warning"
	}
	return ""
}

// golden compares with a *.out.yaml.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".out.yaml")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (go test ./webhook -update writes it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// TestNoGoldenFileIsForgotten finds results whose review is gone.
func TestNoGoldenFileIsForgotten(t *testing.T) {
	files, err := filepath.Glob("testdata/*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name, kind, _ := strings.Cut(filepath.Base(file), ".")
		_, err := os.Stat(filepath.Join("testdata", name+".in.yaml"))
		if err != nil || kind != "in.yaml" && kind != "out.yaml" {
			t.Errorf("%s belongs to no review", file)
		}
	}
}

func TestAFaultyCacheRefuses(t *testing.T) {
	for _, name := range []string{"source", "selected"} {
		r := load(t, "testdata/"+name+".in.yaml")
		r.cluster.fault = errors.New("cache is not synced")
		response := r.claims().Handle(t.Context(), r.request)
		if response.Allowed || response.Result.Code != 500 ||
			!strings.Contains(response.Result.Message, "read S3Source: cache is not synced") {
			t.Errorf("%s: allowed %t, %+v; want an internal error that says why", name, response.Allowed, response.Result)
		}
	}
}

// TestWhatTheCacheDoesNotKnowYet: a claim and what it depends on may come within a millisecond.
func TestWhatTheCacheDoesNotKnowYet(t *testing.T) {
	tests := map[string]struct {
		review string
		forget func(*cluster)
	}{
		"a source that selects": {"selected", func(c *cluster) { c.sources = nil }},
		"a class that is wrong": {"error-class-no-provisioner", func(c *cluster) { c.classes = nil }},
		"a class that retains":  {"warning-retain", func(c *cluster) { c.classes = nil }},
		"the driver of a class": {"source", func(c *cluster) { c.drivers = nil }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := load(t, "testdata/"+test.review+".in.yaml")
			hook := r.claims()
			late := *r.cluster
			test.forget(&late)
			hook.Reader = &late
			golden(t, test.review, outcomeOf(t, hook.Handle(t.Context(), r.request)))
		})
	}
}

// TestNamesOfReviewsAreChecked: the check of a name that cannot fail would be worth nothing.
func TestNamesOfReviewsAreChecked(t *testing.T) {
	warned := admission.Allowed("").WithWarnings("It is small.")
	patched := admission.Patched("", jsonpatchv2.NewOperation("remove", "/spec", nil))
	for name, response := range map[string]admission.Response{
		"error-x":     admission.Allowed(""),
		"x":           admission.Denied("no"),
		"warning-x":   admission.Allowed(""),
		"untouched":   patched,
		"untouched-x": warned,
	} {
		if misnamed(name, response) == "" {
			t.Errorf("%s may have the outcome %+v", name, response)
		}
	}
	for name, response := range map[string]admission.Response{
		"error-x":   admission.Denied("no"),
		"x":         patched,
		"warning-x": warned,
		"untouched": admission.Allowed(""),
	} {
		if wrong := misnamed(name, response); wrong != "" {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	r := load(t, "testdata/source.in.yaml")
	r.request.Object.Raw = []byte(`{"kind":"PersistentVolumeClaim","apiVersion":"v1","spec":7}`)
	if response := r.claims().Handle(t.Context(), r.request); response.Allowed || response.Result.Code != 400 {
		t.Errorf("allowed %t, %+v; want a bad request", response.Allowed, response.Result)
	}
}
