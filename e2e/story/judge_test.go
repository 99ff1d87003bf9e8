// SPDX-License-Identifier: Apache-2.0

package story

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func observer() *Observer {
	return &Observer{
		invariants: newInvariants(), onPod: func(podEvent) {}, changed: make(chan struct{}),
		imports: map[string][]v1alpha1.S3ImportStatus{},
		results: map[string]string{}, movers: map[string]*corev1.Pod{}, told: map[types.UID]told{},
		active: map[string]bool{}, subjects: subjects{}, revealed: map[string][]string{},
	}
}

// A secret key is found in every place of every object that is watched, and in logs.
func TestSecretsAreFound(t *testing.T) {
	const key = "0123456789abcdef"
	at := metav1.ObjectMeta{Name: "x", Namespace: "n", UID: "x", ResourceVersion: "1"}
	with := func(change func(*metav1.ObjectMeta)) metav1.ObjectMeta { m := *at.DeepCopy(); change(&m); return m }
	tests := map[string]client.Object{
		"argument": &corev1.Pod{
			ObjectMeta: at,
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"--key=" + key}}}},
		},
		"environment": &corev1.Pod{ObjectMeta: at, Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Env: []corev1.EnvVar{{Name: "K", Value: key}},
		}}}},
		"termination message": &corev1.Pod{
			ObjectMeta: at,
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "bad key " + key}},
			}}},
		},
		"annotation of a claim": &corev1.PersistentVolumeClaim{
			ObjectMeta: with(func(m *metav1.ObjectMeta) { m.Annotations = map[string]string{"a": "b" + key} }),
		},
		"condition of a claim": &corev1.PersistentVolumeClaim{ObjectMeta: at, Status: corev1.PersistentVolumeClaimStatus{
			Conditions: []corev1.PersistentVolumeClaimCondition{{Message: key}},
		}},
		"managed fields": &corev1.PersistentVolumeClaim{ObjectMeta: with(func(m *metav1.ObjectMeta) {
			m.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(`{"f:` + key + `":{}}`)}}
		})},
		"label of a volume": &corev1.PersistentVolume{
			ObjectMeta: with(func(m *metav1.ObjectMeta) { m.Namespace, m.Labels = "", map[string]string{"a": key} }),
		},
		"event":      &corev1.Event{ObjectMeta: at, Message: "key " + key},
		"config map": &corev1.ConfigMap{ObjectMeta: at, Data: map[string]string{"a": key}},
		"config map in base64": &corev1.ConfigMap{
			ObjectMeta: at, BinaryData: map[string][]byte{"a": []byte(key)},
		},
		"S3Source": &v1alpha1.S3Source{
			ObjectMeta: at,
			Status:     v1alpha1.S3SourceStatus{Conditions: []metav1.Condition{{Message: key}}},
		},
		"S3Import": &v1alpha1.S3Import{
			ObjectMeta: at,
			Status:     v1alpha1.S3ImportStatus{Conditions: []metav1.Condition{{Message: key}}},
		},
	}
	keys := &secretKeys{}
	keys.add("minio", key)
	for name, object := range tests {
		o := observer()
		o.secrets = keys.list
		o.note(object, false)
		if got := o.revealed[object.GetNamespace()]; len(got) != 1 ||
			!strings.Contains(got[0], " x shows the secret key of minio") {
			t.Errorf("%s: found %q", name, got)
		}
		o.secrets = func() []secret { return []secret{{"another", []byte("fedcba")}} }
		o.revealed = map[string][]string{}
		o.note(object, false)
		if len(o.revealed) > 0 {
			t.Errorf("%s: found %q, which is not there", name, o.revealed)
		}
	}
	dir := t.TempDir()
	log := filepath.Join(dir, "pods", "mover.log")
	if err := os.MkdirAll(filepath.Dir(log), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{"GET /?key=" + key + "\n": 1, "GET /\n": 0} {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := searchLogs(dir, "", keys.list()); err != nil || len(got) != want {
			t.Errorf("log %q: %q, %v", text, got, err)
		}
		if got, err := searchLogs(dir, "mover.", keys.list()); err != nil || len(got) != want {
			t.Errorf("log %q of a mover: %q, %v", text, got, err)
		}
		if got, err := searchLogs(dir, "other_", keys.list()); err != nil || len(got) != 0 {
			t.Errorf("log %q of others: %q, %v", text, got, err)
		}
	}
	for name, test := range map[string]struct{ cmdline, environ, want string }{
		"clean":                    {"/mover\x00{}", "HOME=/", ""},
		"argument":                 {"/bin/x\x00" + key, "", "arguments"},
		"environment of a mover":   {"/mc\x00cp", "MC_HOST=" + key, "environment"},
		"environment of S3 itself": {"/minio\x00server", "ROOT=" + key, ""},
	} {
		process := t.TempDir()
		for file, text := range map[string]string{"cmdline": test.cmdline, "environ": test.environ} {
			if err := os.WriteFile(filepath.Join(process, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(processShows(process, keys.list()), ","); !strings.Contains(got, test.want) ||
			test.want == "" && got != "" {
			t.Errorf("process %s: %q", name, got)
		}
	}
}

// Events are held against what a story provokes, both ways.
func TestToldEvents(t *testing.T) {
	o := observer()
	event := func(uid, kind, reason string, count int32) *corev1.Event {
		return &corev1.Event{
			ObjectMeta:          metav1.ObjectMeta{Name: uid, Namespace: "n", UID: types.UID(uid), ResourceVersion: "1"},
			InvolvedObject:      corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: "n", Name: "data"},
			ReportingController: ManagerName, Type: kind, Reason: reason, Count: count,
		}
	}
	o.note(&corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: "pv", ResourceVersion: "1"},
		Spec:       corev1.PersistentVolumeSpec{ClaimRef: &corev1.ObjectReference{Namespace: "n", UID: "p"}},
	}, false)
	if o.active["n"] {
		t.Error("a volume of anybody counts as something of ours")
	}
	o.note(event("a", "Warning", "Interrupted", 1), false)
	o.note(event("b", "Normal", "PopulationStarted", 7), false)
	ofVolume := event("c", "Warning", "VolumeOrphaned", 1)
	ofVolume.InvolvedObject = corev1.ObjectReference{Kind: "PersistentVolume", Name: "pv"}
	o.note(ofVolume, false)
	foreign := event("d", "Warning", "FailedScheduling", 100)
	foreign.ReportingController = "default-scheduler"
	o.note(foreign, false)
	held := event("held", "Warning", "PruneHeld", 1)
	held.Message = "What S3Export x has exported is not removed for now: pod y cannot start: see `kubectl describe pod y`"
	o.note(held, false)
	for uid, message := range map[string]string{
		"quiet": "Pod x cannot start yet: see `kubectl describe pod x`",
		"job":   "Job x cannot start yet: see `kubectl describe job x`",
		"full":  "Pod x cannot start yet: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu.",
		"late":  "Pod x cannot start yet: FailedMount: failed to sync configmap cache: timed out waiting for the condition",
		"unread": "Pod x cannot start yet: FailedMount: Unable to attach or mount volumes: error processing PVC n/y: " +
			"failed to fetch PVC from API server: no relationship found between node 'node' and this object",
		"unseen": "Pod x cannot start yet: FailedScheduling: 0/1 nodes are available: " +
			"pod has unbound immediate PersistentVolumeClaims.",
		"consumer": "Pod x, for which the volume is made, cannot be scheduled yet: Unschedulable: 0/1 nodes are available: " +
			"1 Insufficient cpu.",
	} {
		slow := event(uid, "Warning", "MoverPending", 7)
		slow.Message = message
		o.note(slow, false)
	}
	unbound := event("unbound", "Warning", "Provisioning", 7)
	unbound.Message = "Temporary claim x is not bound yet; does CSI driver d run, with its sidecar csi-provisioner?"
	o.note(unbound, false)
	misplaced := event("misplaced", "Warning", "MoverPending", 1)
	misplaced.Message = "Pod x cannot start yet: Unschedulable: 1 node(s) didn't match Pod's node affinity"
	o.note(misplaced, false)
	o.place()
	if !o.active["n"] {
		t.Error("an event of ours does not count as something of ours")
	}
	got := judgeTold(o.told, "n", []string{"Interrupted"})
	if len(got) != 3 || !strings.Contains(got[0], "told 7 times: PopulationStarted") ||
		!strings.Contains(got[1], "node affinity") || !strings.Contains(got[2], "VolumeOrphaned") {
		t.Errorf("got %q", got)
	}
	if got := untold(o.told, "n", []string{"Interrupted", "AccessDenied"}); !slices.Equal(got, []string{"AccessDenied"}) {
		t.Errorf("what never came is %q", got)
	}
}

// A manager that was restarted or crashed is told of, also when its pod is gone.
func TestManagersWell(t *testing.T) {
	pod := func(restarts int32, exit int32) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "m", Namespace: SystemNamespace, UID: "m"},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: managerContainer}}},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				RestartCount: restarts, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: exit}},
			}}},
		}
	}
	deleted := func(p *corev1.Pod, reason string) *corev1.Pod {
		p.DeletionTimestamp = &metav1.Time{}
		p.Status.ContainerStatuses[0].State.Terminated.Reason = reason
		return p
	}
	for name, test := range map[string]struct {
		pods []*corev1.Pod
		want string
	}{
		"none was seen":                 {nil, "ever seen"},
		"deleted while it started":      {[]*corev1.Pod{deleted(pod(0, 2), "Error")}, ""},
		"deleted before it started":     {[]*corev1.Pod{deleted(pod(0, 137), "ContainerStatusUnknown")}, ""},
		"failed while it was deleted":   {[]*corev1.Pod{deleted(pod(0, 1), "Error")}, "ended with 1"},
		"killed after its grace period": {[]*corev1.Pod{deleted(pod(0, 137), "Error")}, "ended with 137"},
		"well":                          {[]*corev1.Pod{pod(0, 0)}, ""},
		"restarted":                     {[]*corev1.Pod{pod(1, 0)}, "restarted 1 times"},
		"crashed":                       {[]*corev1.Pod{pod(0, 2)}, "ended with 2"},
	} {
		m := &managers{}
		for _, p := range test.pods {
			m.note(p)
		}
		if err := m.well(); (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	for text, want := range map[string]bool{"level=INFO": false, "goroutine 1\npanic: nil map": true} {
		if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := panics(dir); (err != nil) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}
