// SPDX-License-Identifier: Apache-2.0

package story

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/rbac"
)

func copying(consistency v1alpha1.Consistency) (spec v1alpha1.S3ExportSpec) {
	spec.Consistency = consistency
	return spec
}

// The audit log is held against the table of what the manager may write to.
// shard is a pod of a Job.
func shard(name, job, export, version string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: object(name, "u-"+name, version)}
	p.Labels = map[string]string{v1alpha1.LabelExportUID: export}
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "Job", Name: job, Controller: new(true)}}
	return p
}

func TestWritesOfManager(t *testing.T) {
	o := observer()
	ours := corev1.PersistentVolumeClaimSpec{DataSourceRef: &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source,
	}}
	labelled := func(m metav1.ObjectMeta, export string) metav1.ObjectMeta {
		m.Labels = map[string]string{"export": export}
		return m
	}
	named := func(m metav1.ObjectMeta, name string) metav1.ObjectMeta { m.Name = name; return m }
	for _, object := range []client.Object{
		&corev1.PersistentVolumeClaim{ObjectMeta: object("data", "c", "1"), Spec: ours},
		&corev1.PersistentVolumeClaim{ObjectMeta: object("plain", "d", "2")},
		&corev1.PersistentVolumeClaim{ObjectMeta: named(owned("", "p", "3"), "s3prime-c")},
		&corev1.Pod{ObjectMeta: named(owned("", "m", "4"), "populate-c")},
		&corev1.Pod{ObjectMeta: object("web", "w", "5")},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pv", ResourceVersion: "6"},
			Spec:       corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "n", UID: "p"}},
		},
		&corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "free", ResourceVersion: "7"},
			Spec:       corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "n", UID: "c"}},
		},
		&v1alpha1.S3Source{ObjectMeta: named(owned("", "s", "8"), "described")},
		&v1alpha1.S3Source{ObjectMeta: object("users", "u", "9")},
		&v1alpha1.S3Export{ObjectMeta: object("run", "e", "10"), Spec: copying(v1alpha1.ConsistencySnapshot)},
		&v1alpha1.S3Export{ObjectMeta: object("other", "f", "11"), Spec: copying(v1alpha1.ConsistencyClone)},
		&v1alpha1.S3Export{ObjectMeta: object("live", "g", "12"), Spec: copying(v1alpha1.ConsistencyLive)},
		&v1alpha1.S3Export{ObjectMeta: object("parted", "h", "13"), Spec: v1alpha1.S3ExportSpec{
			S3ExportTemplate: v1alpha1.S3ExportTemplate{Parallelism: 2},
		}},
		shard("export-h-0-a", "export-h", "h", "14"), shard("backup-0-a", "backup", "h", "15"),
		&v1alpha1.S3ExportPolicy{ObjectMeta: object("last", "q", "16"), Spec: v1alpha1.S3ExportPolicySpec{
			OnDelete: true, ClaimSelector: metav1.LabelSelector{MatchLabels: map[string]string{"export": "last"}},
		}},
		&v1alpha1.S3ExportPolicy{ObjectMeta: object("nightly", "t", "17"), Spec: v1alpha1.S3ExportPolicySpec{
			ClaimSelector: metav1.LabelSelector{MatchLabels: map[string]string{"export": "nightly"}},
		}},
		&corev1.PersistentVolumeClaim{ObjectMeta: labelled(object("selected", "x", "18"), "last")},
		&corev1.PersistentVolumeClaim{ObjectMeta: labelled(object("scheduled", "y", "19"), "nightly")},
	} {
		o.note(object, false)
	}
	request := func(line string) Request {
		f := strings.Fields(line)
		r := Request{Verb: f[0], Resource: rbac.Resource{Name: f[1]}}
		if group, resource, found := strings.Cut(f[1], ":"); found {
			r.Resource = rbac.Resource{Group: group, Name: resource}
		}
		r.Namespace, r.Name, _ = strings.Cut(f[2], "/")
		return r
	}
	for line, wrong := range map[string]bool{
		"create persistentvolumeclaims n/s3prime-c":                               false,
		"delete persistentvolumeclaims n/s3prime-c":                               false,
		"delete persistentvolumeclaims n/data":                                    true,
		"create persistentvolumeclaims n/s3export-e":                              false,
		"delete persistentvolumeclaims n/s3export-f":                              false,
		"create persistentvolumeclaims n/s3export-g":                              true,
		"create snapshot.storage.k8s.io:volumesnapshots n/s3export-e":             false,
		"delete snapshot.storage.k8s.io:volumesnapshots n/s3export-f":             true,
		"delete snapshot.storage.k8s.io:volumesnapshots n/monday":                 true,
		"patch persistentvolumeclaims n/selected":                                 false,
		"patch persistentvolumeclaims n/scheduled":                                true,
		"patch persistentvolumeclaims n/data":                                     false,
		"patch persistentvolumeclaims/status n/data":                              false,
		"patch persistentvolumeclaims/status n/plain":                             true,
		"update persistentvolumeclaims n/data":                                    true,
		"patch persistentvolumes /pv":                                             false,
		"patch persistentvolumes /free":                                           true,
		"patch persistentvolumes /unseen":                                         true,
		"delete persistentvolumes /pv":                                            true,
		"create pods n/populate-c":                                                false,
		"patch pods n/export-h-0-a":                                               false,
		"patch pods n/backup-0-a":                                                 true,
		"create batch:jobs n/export-h":                                            false,
		"delete batch:jobs n/export-h":                                            false,
		"patch batch:jobs n/export-h":                                             true,
		"delete batch:jobs n/export-g":                                            true,
		"delete pods n/web":                                                       true,
		"update s3populator.io:s3sources n/described":                             false,
		"update s3populator.io:s3sources n/users":                                 true,
		"update secrets s3populator-system/s3populator-ca":                        false,
		"update secrets n/mine":                                                   true,
		"patch admissionregistration.k8s.io:mutatingwebhookconfigurations /other": true,
	} {
		if got := o.judgeWrite(request(line)); (got != "") != wrong {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// What the manager writes on a claim does not make it one that it may write to; what a user writes does.
func TestOnlyUsersMakeAClaimOurs(t *testing.T) {
	claim := func(manager, field string) *corev1.PersistentVolumeClaim {
		c := &corev1.PersistentVolumeClaim{ObjectMeta: object("plain", "d", "2")}
		c.Annotations[field] = "true"
		c.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{Type: v1alpha1.ConditionPopulated}}
		c.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager:  manager,
			FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{".":{},"f:` + field + `":{}}}}`),
		}}
		return c
	}
	foreign := claim("kubectl", "example.com/x")
	foreign.Spec.DataSourceRef = &corev1.TypedObjectReference{APIGroup: new("example.com"), Kind: v1alpha1.KindS3Source}
	for name, test := range map[string]struct {
		claim *corev1.PersistentVolumeClaim
		ours  bool
	}{
		"an annotation of ours by the manager": {claim(v1alpha1.FieldOwner, v1alpha1.AnnotationSource), false},
		"an annotation of ours by a user":      {claim("kubectl", v1alpha1.AnnotationSource), true},
		"another annotation by a user":         {claim("kubectl", "example.com/x"), false},
		"an S3Source of another group":         {foreign, false},
	} {
		o := observer()
		o.note(test.claim, false)
		patch := Request{
			Verb: "patch", Resource: rbac.Resource{Name: "persistentvolumeclaims"}, Namespace: "n", Name: "plain",
		}
		if got := o.judgeWrite(patch); (got == "") != test.ours {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// What happens in no story's namespace is judged when all have ended.
func TestWritesOutsideOfStories(t *testing.T) {
	o := observer()
	deletion := func(namespace string) Request {
		return Request{Verb: "delete", Resource: rbac.Resource{Name: "pods"}, Namespace: namespace, Name: "dns"}
	}
	unseen := Request{Verb: "patch", Resource: rbac.Resource{Name: "persistentvolumes"}, Name: "unseen"}
	o.doubtful = []Request{deletion("kube-system"), deletion("ended"), unseen}
	o.invariants.broken["elsewhere"] = []string{"two movers"}
	o.revealed["shown"] = []string{"a key"}
	var places []string
	wrong := 0
	for _, e := range o.outside([]expectation{{namespace: "ended"}}) {
		places = append(places, e.namespace)
		wrong += len(o.wrongWrites(e.namespace))
	}
	if want := []string{"", "elsewhere", "kube-system", SystemNamespace, "shown"}; !slices.Equal(places, want) ||
		wrong != 2 {
		t.Errorf("%d wrong writes in %q, want 2 in %q", wrong, places, want)
	}
}

// A benchmark whose watches saw nothing, or less than the manager did, has proven nothing.
func TestUnseenClaims(t *testing.T) {
	play := map[string]struct {
		claims, primes int
		wrong          bool
	}{
		"nothing at all":     {0, 0, true},
		"a dead watch":       {0, 1, true},
		"a dead audit log":   {1, 0, true},
		"a watch that ended": {1, 2, true},
		"all that was made":  {2, 2, false},
	}
	for name, test := range play {
		o := observer()
		for i := range test.claims {
			c := &corev1.PersistentVolumeClaim{ObjectMeta: object("data", "c"+strconv.Itoa(i), "1")}
			c.Spec = corev1.PersistentVolumeClaimSpec{VolumeName: "v", DataSourceRef: &corev1.TypedObjectReference{
				APIGroup: new(v1alpha1.Group), Kind: v1alpha1.KindS3Source,
			}}
			o.note(c, false)
		}
		for i := range test.primes {
			o.primes = append(o.primes, "n/s3prime-c"+strconv.Itoa(i), "n/s3prime-c"+strconv.Itoa(i), "other/s3prime-d")
		}
		if got := o.unseen("n"); (len(got) > 0) != test.wrong {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The audit log has the answers to the manager's writes on volumes, in stories and in benchmarks.
func TestAuditPolicies(t *testing.T) {
	for _, file := range []string{"audit-policy.yaml", "audit-everybody.yaml"} {
		var policy struct {
			Rules []struct {
				Level        string
				Users, Verbs []string
				Resources    []struct{ Group, Resources any }
			}
		}
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &policy); err != nil {
			t.Fatal(err)
		}
		first := policy.Rules[0] // the first that matches counts
		if first.Level != "RequestResponse" || !slices.Equal(first.Users, []string{managerAccount}) ||
			!slices.Contains(first.Verbs, "patch") || len(first.Resources) != 1 ||
			fmt.Sprint(first.Resources[0].Resources) != "[persistentvolumes]" {
			t.Errorf("%s begins with %+v", file, first)
		}
	}
}

// A line of the audit log tells what was really written.
func TestParseRequest(t *testing.T) {
	for name, test := range map[string]struct {
		request string
		want    stored
	}{
		"guarded": {
			`{"metadata":{"resourceVersion":"6"},"spec":{"claimRef":null}}`,
			stored{at: 7, ref: "c", guarded: true},
		},
		"unguarded":    {`{"metadata":{"annotations":{"a":null}}}`, stored{at: 7, ref: "c"}},
		"a JSON patch": {`[{"op":"remove","path":"/spec/claimRef"}]`, stored{at: 7, ref: "c"}},
		"no body":      {`null`, stored{at: 7, ref: "c"}},
	} {
		line := `{"stage":"ResponseComplete","verb":"patch","responseStatus":{"code":200},
			"objectRef":{"resource":"persistentvolumes","name":"v"},"requestObject":` + test.request + `,
			"responseObject":{"kind":"PersistentVolume","metadata":{"resourceVersion":"7"},"spec":{"claimRef":{"uid":"c"}}}}`
		if r, ok, err := parseRequest([]byte(line)); err != nil || !ok || r.stored != test.want {
			t.Errorf("%s: got %+v, %t, %v", name, r.stored, ok, err)
		}
	}
	line, err := json.Marshal(map[string]any{
		"stage": "ResponseComplete", "verb": "create", "requestURI": "/api/v1/namespaces/n/pods?dryRun=All",
		"user": map[string]any{"username": managerAccount, "extra": map[string]any{
			"authentication.kubernetes.io/pod-name":  []string{"manager-a"},
			"authentication.kubernetes.io/node-name": []string{"b"},
		}},
		"responseStatus": map[string]any{"code": 201},
		"objectRef":      map[string]any{"resource": "pods", "namespace": "n", "name": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	r, ok, err := parseRequest(line)
	if err != nil || !ok || !r.manager || !r.Done || !r.DryRun || r.Name != "x" || r.pod != "manager-a" ||
		r.stored != (stored{}) {
		t.Errorf("got %+v, %t, %v", r, ok, err)
	}
}
