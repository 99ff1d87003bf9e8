// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

const ownNamespace = "s3populator-system"

// manager is the webhook server behind the shipped configuration, with a count of its calls.
type manager struct {
	webhook.Server
	client.Client
	us     client.Client // As the ServiceAccount of the manager.
	mux    *http.ServeMux
	server *httptest.Server

	mu    sync.Mutex
	calls map[string]int
}

// Register is all that the webhook needs of its server.
func (m *manager) Register(path string, hook http.Handler) {
	m.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		m.calls[path]++
		m.mu.Unlock()
		hook.ServeHTTP(w, r)
	})
}

// called returns the calls since the last time.
func (m *manager) called() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = map[string]int{}
	return calls
}

// newManager installs manifests/webhook into an API server and answers for it.
func newManager(t *testing.T) *manager {
	t.Helper()
	config := kubetest.APIServer(t, kubetest.Options{CRDs: []string{"../manifests/crd"}})
	s := scheme()
	if err := admissionv1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: s})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{Client: c, mux: http.NewServeMux(), calls: map[string]int{}}
	Register(m, c, c, s)
	pair, bundle := servingPair(t)
	m.server = httptest.NewUnstartedServer(m.mux)
	m.server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13}
	m.server.StartTLS()
	t.Cleanup(m.server.Close)
	port := int32(m.server.Listener.Addr().(*net.TCPAddr).Port)
	m.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ownNamespace}})
	m.create(t, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "s3populator", Namespace: ownNamespace},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	})
	text, err := os.ReadFile("../manifests/webhook/configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shipped := &admissionv1.MutatingWebhookConfiguration{}
	if err := yaml.UnmarshalStrict(text, shipped); err != nil {
		t.Fatal(err)
	}
	for i := range shipped.Webhooks {
		shipped.Webhooks[i].ClientConfig.CABundle = bundle
		shipped.Webhooks[i].ClientConfig.Service.Port = &port
	}
	m.create(t, shipped)
	installPolicies(t, c)
	await(t, "the webhook to be called", func() bool { // Until the API server knows the configuration it asks nobody.
		probe := newClaim("default", "probe", annotate(v1alpha1.AnnotationSource, "imagenet"))
		err := c.Create(t.Context(), probe, client.DryRunAll)
		return err == nil && len(m.called()) > 0
	})
	config.Impersonate = rest.ImpersonationConfig{UserName: ourselves, Groups: []string{"system:masters"}}
	if m.us, err = client.New(config, client.Options{Scheme: s}); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *manager) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := m.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// newClaim asks for a volume, and for more by change.
func newClaim(namespace, name string, change ...func(*corev1.PersistentVolumeClaim)) *corev1.PersistentVolumeClaim {
	c := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Namespace:   namespace,
			Annotations: map[string]string{},
			Labels:      map[string]string{},
		},
	}
	c.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	for _, f := range change {
		f(c)
	}
	return c
}

func annotate(name, value string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Annotations[name] = value }
}

func label(name, value string) func(*corev1.PersistentVolumeClaim) {
	return func(c *corev1.PersistentVolumeClaim) { c.Labels[name] = value }
}

func dataSource(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSource = &corev1.TypedLocalObjectReference{
		APIGroup: new(v1alpha1.Group),
		Kind:     v1alpha1.KindS3Source,
		Name:     "imagenet",
	}
}

func namespaced(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup:  new(v1alpha1.Group),
		Kind:      v1alpha1.KindS3Source,
		Name:      "imagenet",
		Namespace: new("other"),
	}
}

func wrongKind(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new(v1alpha1.Group), Kind: "S3source", Name: "imagenet"}
}

func wrongGroup(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new("example.com"),
		Kind:     v1alpha1.KindS3Source,
		Name:     "imagenet",
	}
}

func unsized(c *corev1.PersistentVolumeClaim) { c.Spec.Resources = corev1.VolumeResourceRequirements{} }

func TestWithAnAPIServer(t *testing.T) {
	m := newManager(t)
	m.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "plain"}})
	m.create(
		t,
		&corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{
				Name:   "labelled",
				Labels: map[string]string{v1alpha1.LabelInjection: v1alpha1.InjectionEnabled},
			},
		},
	)
	m.create(
		t,
		&corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{
				Name:   "required",
				Labels: map[string]string{v1alpha1.LabelInjection: v1alpha1.InjectionRequired},
			},
		},
	)
	m.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "exempt", Labels: map[string]string{
		v1alpha1.LabelInjection: v1alpha1.InjectionRequired, v1alpha1.LabelAdmission: v1alpha1.AdmissionExempt,
	}}})
	for _, namespace := range []string{"labelled", "required", "exempt"} {
		m.create(
			t,
			&v1alpha1.S3Source{
				ObjectMeta: metav1.ObjectMeta{Name: "imagenet", Namespace: namespace},
				Spec: v1alpha1.S3SourceSpec{
					S3Location: v1alpha1.S3Location{
						Region: "x",
						Bucket: "datasets",
					}, ClaimSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "postgres"}},
				},
			},
		)
	}
	url, region := annotate(
		v1alpha1.AnnotationURL,
		"s3://datasets/imagenet/",
	), annotate(
		v1alpha1.AnnotationRegion,
		"eu-west-1",
	)
	tests := map[string]struct {
		claim     *corev1.PersistentVolumeClaim
		by        client.Client // Default: an administrator.
		wantCalls map[string]int
		wantErr   string
		wantName  string // Of the source; "-" is one of the claim's own.
		wantSize  string
	}{
		"a claim of somebody else does not reach us": {
			claim: newClaim("plain", "unrelated", annotate("example.com/s3populator.io", "x")),
		},
		"an annotated claim gets its source": {
			claim:     newClaim("plain", "annotated", annotate(v1alpha1.AnnotationSource, "imagenet")),
			wantCalls: map[string]int{PathClaims: 1},
			wantName:  "imagenet",
		},
		"a URL gets a source of its own": {
			claim:     newClaim("plain", "url", url, region),
			wantCalls: map[string]int{PathClaims: 1},
			wantName:  "-",
		},
		"a claim without a size can be created": {
			claim:     newClaim("plain", "unsized", unsized, annotate(v1alpha1.AnnotationSource, "imagenet")),
			wantCalls: map[string]int{PathClaims: 1},
			wantName:  "imagenet",
			wantSize:  "1Mi",
		},
		"a misspelt annotation is refused without us": {
			claim:   newClaim("plain", "misspelt", annotate(v1alpha1.Group+"/sorce", "imagenet")),
			wantErr: "s3populator.io/sorce asks",
		},
		"a misspelt export is refused": {
			claim:     newClaim("plain", "export", annotate(v1alpha1.ExportPrefix+"tu", "s3://backups/")),
			wantCalls: map[string]int{PathExports: 1},
			wantErr:   "s3populator.io/export-tu",
		},
		"our group with another kind is refused": {
			claim:     newClaim("plain", "kind", wrongKind),
			wantCalls: map[string]int{PathClaims: 1},
			wantErr:   "spec.dataSourceRef.kind: Unsupported value",
		},
		"our kind in another group does not reach us": {claim: newClaim("plain", "group", wrongGroup)},
		"a label that should be an annotation is refused": {
			claim:     newClaim("plain", "label", label(v1alpha1.AnnotationSource, "imagenet")),
			wantCalls: map[string]int{PathClaims: 1},
			wantErr:   "is an annotation, not a label",
		},
		"a label about exports is not ours": {claim: newClaim("plain", "aside", label(v1alpha1.Group+"/export", "x"))},
		"a restored snapshot is left alone": {
			claim:     newClaim("plain", "restored", annotate(v1alpha1.AnnotationSource, "imagenet"), snapshot),
			wantCalls: map[string]int{PathClaims: 1},
		},
		"a required claim gets its source": {
			claim:     newClaim("required", "selected", label("app", "postgres")),
			wantCalls: map[string]int{PathSelected: 1},
			wantName:  "imagenet",
		},
		"a required claim that is not selected is refused": {
			claim:     newClaim("required", "other", label("app", "mysql")),
			wantCalls: map[string]int{PathSelected: 1},
			wantErr:   "no S3Source selects this claim",
		},
		"an exempt namespace does not reach us": {
			claim: newClaim("exempt", "annotated", label("app", "postgres"), annotate(v1alpha1.AnnotationSource, "imagenet")),
		},
		"our kind in dataSource would be lost, so is refused": {
			claim:     newClaim("plain", "lost", dataSource),
			wantCalls: map[string]int{PathClaims: 1},
			wantErr:   "spec.dataSource: Invalid value",
		},
		"a namespace would be lost, so is refused": {
			claim:     newClaim("plain", "far", namespaced),
			wantCalls: map[string]int{PathClaims: 1},
			wantErr:   "spec.dataSourceRef.namespace: Invalid value",
		},
		"what the manager makes does not reach us": {
			claim: newClaim(
				"plain",
				"s3prime-1",
				label(v1alpha1.LabelRole, v1alpha1.RolePrime),
				annotate(v1alpha1.AnnotationMirroredNode, "n"),
			),
			by: m.us,
		},
		"nor in a labelled namespace": {
			claim: newClaim("labelled", "s3prime-1", label(v1alpha1.LabelRole, v1alpha1.RolePrime), label("app", "postgres")),
			by:    m.us,
		},
		"a copy of its label does reach us": {
			claim:     newClaim("labelled", "prime", label(v1alpha1.LabelRole, v1alpha1.RolePrime), label("app", "postgres")),
			wantCalls: map[string]int{PathSelected: 1},
			wantName:  "imagenet",
		},
		"a selected claim gets its source": {
			claim:     newClaim("labelled", "selected", label("app", "postgres")),
			wantCalls: map[string]int{PathSelected: 1},
			wantName:  "imagenet",
		},
		"a claim that is not selected stays": {
			claim:     newClaim("labelled", "other", label("app", "mysql")),
			wantCalls: map[string]int{PathSelected: 1},
		},
		"an annotated claim there is reviewed once": {
			claim:     newClaim("labelled", "annotated", annotate(v1alpha1.AnnotationSource, "other")),
			wantCalls: map[string]int{PathSelected: 1},
			wantName:  "other",
		},
		"labels do not select in other namespaces": {
			claim: newClaim("plain", "postgres", label("app", "postgres")),
		},
		"a generated name gets a source of its own": {
			claim: newClaim(
				"plain",
				"",
				func(c *corev1.PersistentVolumeClaim) { c.GenerateName = "data-" },
				url,
				region,
			), wantCalls: map[string]int{PathClaims: 1}, wantName: "-",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m.called()
			by := tt.by
			if by == nil {
				by = m.Client
			}
			dry := tt.claim.DeepCopy()
			err := by.Create(t.Context(), dry, client.DryRunAll)
			checkOutcome(t, "dry run", err, tt.wantErr)
			if calls := m.called(); !maps.Equal(calls, tt.wantCalls) {
				t.Errorf("called %v, want %v", calls, tt.wantCalls)
			}
			if tt.claim.Name != "" && m.Get(t.Context(), client.ObjectKeyFromObject(tt.claim), dry) == nil {
				t.Error("the dry run left a claim behind")
			}
			checkOutcome(t, "creation", by.Create(t.Context(), tt.claim), tt.wantErr)
			if tt.wantErr == "" {
				checkCreated(t, tt.claim, tt.wantName, tt.wantSize)
			}
		})
	}
	t.Run("an update is not looked at", func(t *testing.T) {
		m.called()
		claim := newClaim("plain", "annotated")
		if err := m.Patch(t.Context(), claim, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":{"s3populator.io/url":"nonsense"}}}`))); err != nil {
			t.Fatal(err)
		}
		if calls := m.called(); len(calls) > 0 {
			t.Errorf("called %v", calls)
		}
	})
	t.Run("exports", m.testExports)
	t.Run("what is admitted can be made", m.testAdmittedCanBeMade)
	t.Run("an outage touches only those who ask for us", m.testOutage)
}
