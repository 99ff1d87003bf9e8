// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// Users who write claims.
const (
	ourselves   = "system:serviceaccount:" + ownNamespace + ":s3populator"
	statefulSet = "system:serviceaccount:kube-system:statefulset-controller"
	ephemeral   = "system:serviceaccount:kube-system:ephemeral-volume-controller"
	controllers = "system:kube-controller-manager"
	root        = "root"   // May do everything.
	podder      = "podder" // May create claims and pods.
	claimer     = "claimer"
	exporter    = "exporter" // May create claims and S3Exports.
	importer    = "importer" // May create claims and S3Imports, in one namespace.
)

// cast is an API server with the shipped policies, seen by each of its users.
type cast struct {
	client.Client // root's
	config        *rest.Config
	as            map[string]client.Client
}

func newCast(t *testing.T) *cast {
	t.Helper()
	c := &cast{
		config: kubetest.APIServer(t, kubetest.Options{CRDs: []string{"../manifests/crd", "../internal/kubetest/snapshots"}}),
		as:     map[string]client.Client{},
	}
	c.Client = c.client(t, "", "")
	for _, user := range []string{ourselves, statefulSet, ephemeral, controllers, root} {
		c.as[user] = c.client(t, user, "system:masters")
	}
	for _, user := range []string{podder, claimer, exporter, importer} {
		c.as[user] = c.client(t, user, "system:authenticated")
	}
	for name, labels := range map[string]map[string]string{
		"plain":    nil,
		"enabled":  {v1alpha1.LabelInjection: v1alpha1.InjectionEnabled},
		"required": {v1alpha1.LabelInjection: v1alpha1.InjectionRequired},
		"exempt":   {v1alpha1.LabelInjection: v1alpha1.InjectionRequired, v1alpha1.LabelAdmission: v1alpha1.AdmissionExempt},
	} {
		c.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}})
	}
	c.grant(
		t,
		claimer,
		rbacv1.PolicyRule{
			APIGroups: []string{""},
			Resources: []string{"persistentvolumeclaims", "persistentvolumeclaims/status"},
			Verbs:     []string{"*"},
		},
	)
	c.grant(
		t,
		podder,
		rbacv1.PolicyRule{
			APIGroups: []string{""},
			Resources: []string{"persistentvolumeclaims", "pods"},
			Verbs:     []string{"*"},
		},
	)
	c.grant(
		t,
		exporter,
		rbacv1.PolicyRule{
			APIGroups: []string{"", v1alpha1.Group},
			Resources: []string{"persistentvolumeclaims", "s3exports"},
			Verbs:     []string{"*"},
		},
	)
	c.grantIn(
		t,
		"plain",
		importer,
		rbacv1.PolicyRule{
			APIGroups: []string{"", v1alpha1.Group},
			Resources: []string{"persistentvolumeclaims", "s3imports"},
			Verbs:     []string{"*"},
		},
	)
	installPolicies(t, c.Client)
	for _, user := range []string{podder, claimer, exporter, importer} {
		await(t, "the rights of "+user, func() bool {
			return c.as[user].List(t.Context(), &corev1.PersistentVolumeClaimList{}, client.InNamespace("plain")) == nil
		})
	}
	return c
}

func (c *cast) create(t *testing.T, o client.Object) {
	t.Helper()
	if err := c.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func (c *cast) client(t *testing.T, user, group string) client.Client {
	t.Helper()
	config := rest.CopyConfig(c.config)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{group}}
	}
	s := scheme()
	for _, add := range []func(*runtime.Scheme) error{admissionv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(s); err != nil {
			t.Fatal(err)
		}
	}
	made, err := client.New(config, client.Options{Scheme: s})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (c *cast) grant(t *testing.T, user string, rule rbacv1.PolicyRule) {
	t.Helper()
	c.create(t, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: []rbacv1.PolicyRule{rule}})
	c.create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{
			Name: user,
		}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: user},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	})
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	patience, again := time.After(2*time.Minute), time.NewTicker(100*time.Millisecond)
	defer again.Stop()
	for !done() {
		select {
		case <-again.C:
		case <-patience:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestPolicies: who may do what, judged by the API server alone.
func TestPolicies(t *testing.T) {
	c := newCast(t)
	t.Run("creation", c.testCreation)
	t.Run("change", c.testChange)
	t.Run("selectors", c.testSelectors)
	t.Run("records of imports", c.testImportRecords)
	t.Run("marks of runs", c.testPruning)
	t.Run("policies of runs", c.testPolicyOfRun)
	t.Run("the manager", c.testManager)
	t.Run("the manager's Jobs", c.testManagerJobs)
	t.Run("the manager's volumes", c.testManagerVolumes)
	t.Run("the manager's claims", c.testManagerClaims)
	t.Run("the manager's webhook", c.testOwnWebhook)
	t.Run("protected namespaces", c.testProtectedNamespaces)
	t.Run("protected claims", c.testProtectedClaims)
}

func reference(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group),
		Kind:     v1alpha1.KindS3Source,
		Name:     "imagenet",
	}
}

func snapshot(c *corev1.PersistentVolumeClaim) {
	c.Spec.DataSource = &corev1.TypedLocalObjectReference{
		APIGroup: new("snapshot.storage.k8s.io"),
		Kind:     "VolumeSnapshot",
		Name:     "monday",
	}
}

func volumeName(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeName = "pv-1" }

func selecting(c *corev1.PersistentVolumeClaim) {
	c.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"velero.io/dynamic-pv-restore": "x"}}
}

// testCreation: no webhook is installed here.
func (c *cast) testCreation(t *testing.T) {
	type changes = []func(*corev1.PersistentVolumeClaim)
	source, url := annotate(v1alpha1.AnnotationSource, "imagenet"), annotate(v1alpha1.AnnotationURL, "s3://datasets/")
	export := annotate(v1alpha1.AnnotationExportTo, "s3://backups/")
	tests := map[string]struct {
		who, where string // Default: root in plain.
		claim      changes
		want       string // In the refusal; empty when it is created.
	}{
		"somebody else's claim": {},
		"a prefix that is not ours": {
			claim: changes{annotate("example.s3populator.io/source", "x"), label("not-s3populator.io/source", "x")},
		},
		"a source without a reference": {
			claim: changes{source},
			want:  "annotation s3populator.io/source asks",
		},
		"an empty source without a reference": {
			claim: changes{annotate(v1alpha1.AnnotationSource, "")},
			want:  "annotation s3populator.io/source asks",
		},
		"a URL without a reference": {claim: changes{url}, want: "annotation s3populator.io/url asks"},
		"a companion alone": {
			claim: changes{annotate(v1alpha1.AnnotationSecret, "s3")},
			want:  "annotation s3populator.io/secret asks",
		},
		"a companion that a chart left empty": {claim: changes{annotate(v1alpha1.AnnotationSecret, "")}},
		"a size of nothing": {
			claim: changes{annotate(v1alpha1.AnnotationAutoSize, "true")},
			want:  "annotation s3populator.io/auto-size asks",
		},
		"a size that is switched off": {claim: changes{annotate(v1alpha1.AnnotationAutoSize, "false")}},
		"a misspelt annotation": {
			claim: changes{annotate(v1alpha1.Group+"/sorce", "imagenet")},
			want:  "s3populator.io/sorce asks",
		},
		"what the manager wrote, on a restored claim": {claim: changes{annotate(v1alpha1.AnnotationNextPrime, "{}")}},
		"annotations that ask for nothing": {
			claim: changes{annotate(v1alpha1.AnnotationBind, "Immediate"), annotate(v1alpha1.AnnotationRetry, "1")},
		},
		"a source with its reference": {claim: changes{source, reference}},
		"a restored snapshot":         {claim: changes{source, snapshot}},
		"a restored volume":           {claim: changes{source, volumeName}},
		"a restore by data movement":  {claim: changes{source, selecting}},
		"a StatefulSet's claim without a reference": {
			who:   statefulSet,
			claim: changes{source},
			want:  "annotation s3populator.io/source asks",
		},
		"what the manager makes": {
			who: ourselves,
			claim: changes{
				func(p *corev1.PersistentVolumeClaim) { p.Name = "s3prime-1" },
				annotate(v1alpha1.AnnotationMirroredNode, "n"),
			},
		},
		"an exempt namespace": {where: "exempt", claim: changes{source}},
		"a label that should be an annotation": {
			claim: changes{label(v1alpha1.AnnotationSource, "imagenet")},
			want:  "s3populator.io/source is an annotation, not a label",
		},
		"the same on a restored claim": {
			claim: changes{label(v1alpha1.AnnotationSource, "imagenet"), snapshot},
		},
		"an export that was asked for by a label": {
			claim: changes{label(v1alpha1.AnnotationExportOnDelete, "true"), export},
			want:  "label s3populator.io/export-on-delete has no effect",
		},
		"the same on a claim that is filled": {
			claim: changes{label(v1alpha1.AnnotationExportTo, "backups"), source, reference},
			want:  "Write it to metadata.annotations",
		},
		"a label for exports":      {claim: changes{label(v1alpha1.Group+"/export", "nightly")}},
		"an export by one who may": {who: exporter, claim: changes{export}},
		"an export by one who may create pods only": {
			who:   podder,
			claim: changes{export},
			want:  "podder, who may not create s3exports.s3populator.io there",
		},
		"an export by one who may create claims only": {
			who:   claimer,
			claim: changes{export},
			want:  "s3populator.io/export-to makes",
		},
		"an exempt namespace does not give that right": {
			who:   claimer,
			where: "exempt",
			claim: changes{export},
			want:  "s3populator.io/export-to makes",
		},
		"an export by the StatefulSet controller": {who: statefulSet, claim: changes{export}},
		"an export of a populated claim": {
			claim: changes{source, reference, export},
		},
		"a misspelt export": {
			claim: changes{annotate(v1alpha1.ExportPrefix+"tu", "s3://backups/")},
			want:  "annotation s3populator.io/export-tu is not known",
		},
		"an export that is not there yet": {
			claim: changes{annotate(v1alpha1.ExportPrefix+"compression", "true")},
			want:  "annotation s3populator.io/export-compression is not known",
		},
		"what the manager wrote of exports, on a restored claim": {
			claim: changes{
				annotate(v1alpha1.AnnotationExportedNow, "1"), annotate(v1alpha1.AnnotationExportedTick, "x"),
				annotate(v1alpha1.AnnotationExportedFiles, `{"claim":"c-1","run":"r","uid":"e-1","files":7}`),
			},
		},
		"a token for an import by one who may": {
			who: importer, claim: changes{source, reference, annotate(v1alpha1.AnnotationImportNow, "1")},
		},
		"a token for an import by one who may create pods only": {
			who: podder, claim: changes{source, reference, annotate(v1alpha1.AnnotationImportNow, "1")},
			want: "podder, who may not create s3imports.s3populator.io there",
		},
		"a token for an import by the StatefulSet controller": {
			who: statefulSet, claim: changes{source, reference, annotate(v1alpha1.AnnotationImportNow, "1")},
		},
		"a token for an import of nothing": {
			claim: changes{annotate(v1alpha1.AnnotationImportNow, "1")},
			want:  "annotation s3populator.io/import-now asks",
		},
		"a misspelt import": {
			claim: changes{source, reference, annotate(v1alpha1.ImportPrefix+"nwo", "1")},
			want:  "annotation s3populator.io/import-nwo is not known",
		},
		"an import that was asked for by a label": {
			claim: changes{label(v1alpha1.AnnotationImportNow, "1"), source, reference},
			want:  "label s3populator.io/import-now has no effect",
		},
		"what the manager wrote of imports, on a restored claim": {
			claim: changes{annotate(v1alpha1.AnnotationImportedNow, "1")},
		},
		"a URL by one who may create pods": {who: podder, claim: changes{url, reference}},
		"a URL by one who may not": {
			who:   claimer,
			claim: changes{url, reference},
			want:  "claimer, who may not create pods there",
		},
		"a source by one who may not": {who: claimer, claim: changes{source, reference}},
		"an exempt namespace does not give rights": {
			who:   claimer,
			where: "exempt",
			claim: changes{url, reference},
			want:  "claimer, who may not create pods there",
		},
		"a URL by the StatefulSet controller":        {who: statefulSet, claim: changes{url, reference}},
		"a URL by the ephemeral-volume controller":   {who: ephemeral, claim: changes{url, reference}},
		"a URL by a controller manager in one piece": {who: controllers, claim: changes{url, reference}},
		"a plain claim where injection is required":  {where: "required", want: "no S3Source selects this claim"},
		"a plain claim where it is enabled":          {where: "enabled"},
		"a populated claim where it is required":     {where: "required", claim: changes{reference}},
		"a restored snapshot where it is required":   {where: "required", claim: changes{snapshot}},
		"a restored volume where it is required":     {where: "required", claim: changes{volumeName}},
		"data movement where it is required":         {where: "required", claim: changes{selecting}},
		"what the manager makes where it is required": {
			who:   ourselves,
			where: "required",
			claim: changes{func(p *corev1.PersistentVolumeClaim) { p.Name = "s3prime-1" }},
		},
		"a plain claim where nothing is required": {where: "exempt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			claim := newClaim(orElse(tt.where, "plain"), "data", tt.claim...)
			checkOutcome(t, "creation", c.as[orElse(tt.who, root)].Create(t.Context(), claim, client.DryRunAll), tt.want)
		})
	}
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
