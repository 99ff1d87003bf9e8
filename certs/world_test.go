// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	admission "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// secretName is the same in every world; each world has its own namespace.
const secretName = "s3populator-ca"

// world is a namespace with a manager's rights, and a webhook configuration of its name.
type world struct {
	admin   kubernetes.Interface
	manager *rest.Config
	name    string
	called  []*replica // by the webhook configuration
}

func newWorld(t *testing.T, config *rest.Config, name string) *world {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{admin: admin, name: name, manager: rest.CopyConfig(config)}
	w.manager.Impersonate = rest.ImpersonationConfig{UserName: name}
	create(t, admin.CoreV1().Namespaces().Create, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	w.grant(t)
	return w
}

// grant gives exactly what the RBAC markers of this package ask for.
func (w *world) grant(t *testing.T) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: w.name}
	user := []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: w.name, APIGroup: rbacv1.GroupName}}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{
			APIGroups:     []string{""},
			Resources:     []string{"secrets"},
			ResourceNames: []string{secretName},
			Verbs:         []string{"get", "list", "watch", "update"},
		},
	}}
	clusterRole := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{
			APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"mutatingwebhookconfigurations"},
			ResourceNames: []string{w.name}, Verbs: []string{"get", "list", "watch", "patch"},
		},
	}}
	bind := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{Kind: kind, Name: w.name, APIGroup: rbacv1.GroupName}
	}
	api := w.admin.RbacV1()
	create(t, api.Roles(w.name).Create, role)
	create(t, api.ClusterRoles().Create, clusterRole)
	create(
		t,
		api.RoleBindings(w.name).Create,
		&rbacv1.RoleBinding{ObjectMeta: meta, Subjects: user, RoleRef: bind("Role")},
	)
	create(t, api.ClusterRoleBindings().Create,
		&rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: user, RoleRef: bind("ClusterRole")})
}

// may asks the API server what a manager may do with the configuration: it learns of a role a moment later.
func (w *world) may(t *testing.T, verb string) bool {
	t.Helper()
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: w.name, ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: "admissionregistration.k8s.io", Resource: "mutatingwebhookconfigurations", Name: w.name, Verb: verb,
		},
	}}
	answer, err := w.admin.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}

// create calls the Create of one kind's client.
func create[T any](t *testing.T, call func(context.Context, T, metav1.CreateOptions) (T, error), object T) {
	t.Helper()
	if _, err := call(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// replica is one manager: an Authority and a webhook server behind a Service of its own,
// so that a test knows who is called. It answers every review with yes.
type replica struct {
	*Authority
	service string
	port    int32
	stop    func()

	mu     sync.Mutex
	served map[string]map[string]bool // CA key: serial numbers of its leaves.
}

// start begins a replica; a service that exists is taken over, as after a restart.
func (w *world) start(t *testing.T, service string, change func(*Options)) *replica {
	t.Helper()
	o := Options{
		Namespace:            w.name,
		SecretName:           secretName,
		ServiceName:          service,
		WebhookConfiguration: w.name,
		RESTConfig:           w.manager,
		Now:                  time.Now,
	}
	change(&o)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{Authority: a, service: service, served: map[string]map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Start(ctx) }()
	server := r.listen(t)
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Start of %s: %v", service, err)
		}
		_ = server.Close()
	})
	t.Cleanup(r.stop)
	_, err = w.admin.CoreV1().Services(w.name).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: service},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *replica) listen(t *testing.T) *http.Server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	r.port = int32(listener.Addr().(*net.TCPAddr).Port)
	server := &http.Server{
		Handler: http.HandlerFunc(allow), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: r.witnessed},
	}
	server.SetKeepAlivesEnabled(false) // Each review is a new handshake.
	go func() { _ = server.ServeTLS(listener, "", "") }()
	return server
}

// witnessed notes which leaves were served.
func (r *replica) witnessed(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := r.GetCertificate(hello)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ca := string(c.Leaf.AuthorityKeyId)
	if r.served[ca] == nil {
		r.served[ca] = map[string]bool{}
	}
	r.served[ca][c.Leaf.SerialNumber.String()] = true
	return c, nil
}

// tally is how many CAs and leaves were served.
func (r *replica) tally() (cas, leaves int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, serials := range r.served {
		leaves += len(serials)
	}
	return len(r.served), leaves
}

func allow(w http.ResponseWriter, req *http.Request) {
	review := admission.AdmissionReview{}
	if err := json.NewDecoder(req.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	review.Response = &admission.AdmissionResponse{UID: review.Request.UID, Allowed: true}
	review.Request = nil
	_ = json.NewEncoder(w).Encode(review)
}

// register makes a configuration that calls each replica for each new ConfigMap of the world.
func (w *world) register(t *testing.T, replicas ...*replica) {
	t.Helper()
	fail, none, path, seconds := admissionv1.Fail, admissionv1.SideEffectClassNone, "/", int32(30)
	config := &admissionv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: w.name}}
	for _, r := range replicas {
		config.Webhooks = append(config.Webhooks, admissionv1.MutatingWebhook{
			Name: r.service + ".certs.test",
			ClientConfig: admissionv1.WebhookClientConfig{
				Service: &admissionv1.ServiceReference{Namespace: w.name, Name: r.service, Path: &path, Port: &r.port},
			},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: w.name}},
			FailurePolicy:           &fail,
			SideEffects:             &none,
			TimeoutSeconds:          &seconds,
			AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionv1.RuleWithOperations{{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule: admissionv1.Rule{
					APIGroups:   []string{""},
					APIVersions: []string{"v1"},
					Resources:   []string{"configmaps"},
				},
			}},
		})
	}
	w.called = replicas
	configurations := w.admin.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// review creates an object that the replicas must allow; nothing is stored.
func (w *world) review(ctx context.Context) error {
	_, err := w.admin.CoreV1().ConfigMaps(
		w.name,
	).Create(
		ctx,
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x-"}},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}},
	)
	return err
}

// load reviews until it is stopped, then tells how many there were and fails for each refusal.
func (w *world) load(t *testing.T) (stop func()) {
	t.Helper()
	eventually(t, time.Minute, "a review allowed by every replica", func() bool {
		allowed := w.review(t.Context()) == nil
		for _, r := range w.called { // Until the API server knows the configuration it asks nobody.
			cas, _ := r.tally()
			allowed = allowed && cas > 0
		}
		return allowed
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	reviews, refusals, first := 0, 0, ""
	go func() {
		defer close(ended)
		for tick := time.NewTicker(20 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			reviews++
			if err := w.review(ctx); err != nil && ctx.Err() == nil {
				refusals++
				first = fmt.Sprintf("%s: %v", time.Now().Format(time.StampMilli), err)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
		t.Logf("%d reviews, %d refused", reviews, refusals)
		if refusals > 0 || reviews < 20 { // A busy machine makes fewer than one in 20 ms.
			t.Errorf("%d of %d reviews refused, the last at %s; want 0 of at least 20", refusals, reviews, first)
		}
	}
}

func (w *world) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	s, err := w.admin.CoreV1().Secrets(w.name).Get(t.Context(), secretName, metav1.GetOptions{})
	if err != nil {
		return nil
	}
	return s
}

func (w *world) configuration(t *testing.T) *admissionv1.MutatingWebhookConfiguration {
	t.Helper()
	c, err := w.admin.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(
		t.Context(),
		w.name,
		metav1.GetOptions{},
	)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) deleteSecret(t *testing.T) {
	t.Helper()
	if err := w.admin.CoreV1().Secrets(w.name).Delete(t.Context(), secretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// overwrite puts a caBundle into every entry by hand.
func (w *world) overwrite(t *testing.T, text []byte) {
	t.Helper()
	config := w.configuration(t)
	for i := range config.Webhooks {
		config.Webhooks[i].ClientConfig.CABundle = text
	}
	patch, err := json.Marshal(map[string]any{"webhooks": config.Webhooks})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.admin.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(
		t.Context(),
		w.name,
		types.MergePatchType,
		patch,
		metav1.PatchOptions{},
	)
	if err != nil {
		t.Fatal(err)
	}
}
