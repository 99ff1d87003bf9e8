// SPDX-License-Identifier: Apache-2.0

package webhook

import (
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

const ownImage = "docker.io/s3populator/mover:dev"

// moverPod is as the manager makes one.
func moverPod(change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "populate-0b1c", Namespace: "plain"}, Spec: corev1.PodSpec{
		ServiceAccountName: "default", AutomountServiceAccountToken: new(false), RestartPolicy: corev1.RestartPolicyNever,
		Containers: []corev1.Container{{
			Name: "mover", Image: ownImage, Args: []string{"{}"},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: new(false),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
		}},
		Volumes: []corev1.Volume{
			{
				Name: "data",
				VolumeSource: corev1.VolumeSource{
					PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "s3prime-1"},
				},
			},
			token(v1alpha1.Group),
		},
	}}
	for _, f := range change {
		f(p)
	}
	return p
}

func token(audience string) corev1.Volume {
	return corev1.Volume{
		Name: "t" + strings.ReplaceAll(audience, ".", "-"),
		VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}},
			},
		}},
	}
}

// testManager: rights that it has, and what it may do with them.
func (c *cast) testManager(t *testing.T) {
	pods := map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"a mover":      {pod: moverPod()},
		"an inventory": {pod: moverPod(func(p *corev1.Pod) { p.Name = "inventory-0b1c" })},
		"a consumer": {
			pod: moverPod(func(p *corev1.Pod) { p.Name = "s3consumer-0b1c"; p.Spec.Containers[0].Name = "consumer" }),
		},
		"a web identity": {
			pod: moverPod(func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, token("sts.amazonaws.com")) }),
		},
		"an import": {pod: moverPod(func(p *corev1.Pod) { p.Name = "import-0b1c" })},
		"an import that changes the group of files": {pod: moverPod(func(p *corev1.Pod) {
			p.Name, p.Spec.SecurityContext = "import-0b1c", &corev1.PodSecurityContext{FSGroup: new(int64(1))}
		}), want: "volume in use has no fsGroup"},
		"an export that may write": {
			pod: moverPod(func(p *corev1.Pod) { p.Name = "export-0b1c" }), want: "mounts it read-only",
		},
		"another name": {pod: moverPod(func(p *corev1.Pod) { p.Name = "shell" }), want: "nothing to do with pod shell"},
		"another image": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Containers[0].Image = "example.com/shell" }),
			want: "mover with example.com/shell",
		},
		"another container": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Containers[0].Name = "shell" }),
			want: "shell with " + ownImage,
		},
		"a second container": {pod: moverPod(func(p *corev1.Pod) {
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "shell", Image: "example.com/shell"})
		}), want: "shell with example.com/shell"},
		"an init container": {pod: moverPod(func(p *corev1.Pod) {
			p.Spec.InitContainers = []corev1.Container{{Name: "shell", Image: "example.com/shell"}}
		}), want: "shell with example.com/shell"},
		"a command": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Containers[0].Command = []string{"sh"} }),
			want: "no command",
		},
		"privileged": {pod: moverPod(func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
		}), want: "privilege"},
		"a capability": {pod: moverPod(func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"}
		}), want: "privilege"},
		"no security context": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Containers[0].SecurityContext = nil }),
			want: "privilege",
		},
		"a port": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80}} }),
			want: "port",
		},
		"a path of the node": {pod: moverPod(func(p *corev1.Pod) {
			p.Spec.Volumes = append(
				p.Spec.Volumes,
				corev1.Volume{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}},
			)
		}), want: "hostPath"},
		"the network of the node":   {pod: moverPod(func(p *corev1.Pod) { p.Spec.HostNetwork = true }), want: "hostNetwork"},
		"the processes of the node": {pod: moverPod(func(p *corev1.Pod) { p.Spec.HostPID = true }), want: "hostPID"},
		"the memory of the node":    {pod: moverPod(func(p *corev1.Pod) { p.Spec.HostIPC = true }), want: "hostIPC"},
		"a node":                    {pod: moverPod(func(p *corev1.Pod) { p.Spec.NodeName = "n" }), want: "nodeName"},
		"a mounted token": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.AutomountServiceAccountToken = nil }),
			want: "token for the API server",
		},
		"a token for the API server": {
			pod:  moverPod(func(p *corev1.Pod) { p.Spec.Volumes = append(p.Spec.Volumes, token("")) }),
			want: "token for the API server",
		},
	}
	for name, tt := range pods {
		t.Run(name, func(t *testing.T) {
			checkOutcome(t, "the manager", c.as[ourselves].Create(t.Context(), tt.pod.DeepCopy(), client.DryRunAll), tt.want)
			checkOutcome(t, "somebody else", c.as[root].Create(t.Context(), tt.pod.DeepCopy(), client.DryRunAll), "")
		})
	}
	c.testManagerWrites(t)
}

func s3Export(name string) *v1alpha1.S3Export {
	e := &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "plain"}}
	e.Spec.ClaimName, e.Spec.Destination.Region, e.Spec.Destination.Bucket = "data", "x", "backups"
	return e
}

func volumeSnapshot(name, source string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
		"metadata": map[string]any{"namespace": "plain", "name": name},
		"spec":     map[string]any{"source": map[string]any{source: "data"}},
	}}
}

// testManagerWrites: changes and deletions of what exists.
func (c *cast) testManagerWrites(t *testing.T) {
	mover, shell := moverPod(), moverPod(func(p *corev1.Pod) { p.Name = "shell" })
	old := moverPod(func(p *corev1.Pod) {
		p.Name = "populate-old"
		p.Spec.Containers[0].Image = "docker.io/s3populator/mover:earlier"
	})
	prime, claim := newClaim("plain", "s3prime-7"), newClaim("plain", "users")
	exportClaim := newClaim("plain", "s3export-7")
	users, ended, ours := s3Export("users"), s3Export("ended"), s3Export("ours")
	ended.Spec.TTLSecondsAfterFinished = new(int32(60))
	ours.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	theirs, timed, token, record := s3Import("theirs"), s3Import("timed"), s3Import("token"), s3Import("record")
	timed.Spec.TTLSecondsAfterFinished = new(int32(60))
	record.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	token.Labels = map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RoleImport}
	for _, o := range []client.Object{theirs, timed, token, record} {
		c.create(t, o)
	}
	const claimed = "persistentVolumeClaimName"
	snapshots, ownSnapshot := volumeSnapshot("monday", claimed), volumeSnapshot("s3export-7", claimed)
	for _, o := range []client.Object{
		mover, shell, old, prime, exportClaim, claim, users, ended, ours, snapshots, ownSnapshot,
	} {
		c.create(t, o)
	}
	us := c.as[ourselves]
	patch := func(o client.Object, text string) func() error {
		return func() error {
			return us.Patch(
				t.Context(),
				o.DeepCopyObject().(client.Object),
				client.RawPatch("application/strategic-merge-patch+json", []byte(text)),
				client.DryRunAll,
			)
		}
	}
	remove := func(o client.Object) func() error {
		return func() error { return us.Delete(t.Context(), o.DeepCopyObject().(client.Object), client.DryRunAll) }
	}
	snapshotting := func(name, source string) func() error {
		return func() error { return us.Create(t.Context(), volumeSnapshot(name, source), client.DryRunAll) }
	}
	copying := func(name, kind, from string) func() error {
		return func() error {
			copied := newClaim("plain", name)
			copied.Spec.DataSource = &corev1.TypedLocalObjectReference{Kind: kind, Name: from}
			if kind == "VolumeSnapshot" {
				copied.Spec.DataSource.APIGroup = new("snapshot.storage.k8s.io")
			}
			return us.Create(t.Context(), copied, client.DryRunAll)
		}
	}
	const annotated = `{"metadata":{"annotations":{"s3populator.io/progress":"b"}}}`
	for name, tt := range map[string]struct {
		do   func() error
		want string
	}{
		"a mover's progress":               {do: patch(mover, annotated)},
		"progress of an earlier version's": {do: patch(old, annotated)},
		"another image in a mover": {
			do:   patch(mover, `{"spec":{"containers":[{"name":"mover","image":"example.com/shell"}]}}`),
			want: "only the metadata",
		},
		"somebody's pod":          {do: patch(shell, annotated), want: "nothing to do with pod shell"},
		"deleting a mover":        {do: remove(mover)},
		"deleting somebody's pod": {do: remove(shell), want: "nothing to do with pod shell"},
		"making a prime": {do: func() error {
			return us.Create(t.Context(), newClaim("plain", "s3prime-8"),
				client.DryRunAll)
		}},
		"making another claim": {do: func() error {
			return us.Create(t.Context(), newClaim("plain", "mine"),
				client.DryRunAll)
		}, want: "named s3prime-UID and s3export-UID only"},
		"making an export claim": {do: func() error {
			c := newClaim("plain", "s3export-8")
			c.Spec.VolumeName = "pv"
			return us.Create(t.Context(), c, client.DryRunAll)
		}},
		"making an export claim with a volume of its own": {do: func() error {
			return us.Create(t.Context(), newClaim("plain", "s3export-8"), client.DryRunAll)
		}, want: "none without spec.volumeName"},
		"cloning a claim":        {do: copying("s3export-8", "PersistentVolumeClaim", "data")},
		"restoring its snapshot": {do: copying("s3export-8", "VolumeSnapshot", "s3export-8")},
		"restoring somebody's snapshot": {
			do: copying("s3export-8", "VolumeSnapshot", "theirs"), want: "none without spec.volumeName or spec.dataSource",
		},
		"a copy that is a prime's": {
			do: copying("mine", "VolumeSnapshot", "mine"), want: "named s3prime-UID and s3export-UID only",
		},
		"a snapshot": {do: snapshotting("s3export-8", claimed)},
		"a snapshot of another name": {
			do: snapshotting("mine", claimed), want: "VolumeSnapshots of claims named s3export-UID only",
		},
		"a snapshot of somebody's content": {
			do: snapshotting("s3export-8", "volumeSnapshotContentName"), want: "VolumeSnapshots of claims",
		},
		"deleting a snapshot of an export": {do: remove(ownSnapshot)},
		"deleting somebody's snapshot":     {do: remove(snapshots), want: "named s3export-UID only, not monday"},
		"changing a snapshot": {do: func() error {
			patch := client.RawPatch("application/merge-patch+json", []byte(annotated))
			return us.Patch(t.Context(), ownSnapshot.DeepCopy(), patch, client.DryRunAll)
		}, want: "VolumeSnapshots of claims"},
		"deleting an export claim":        {do: remove(exportClaim)},
		"deleting a prime":                {do: remove(prime)},
		"deleting somebody's claim":       {do: remove(claim), want: "named s3prime-UID and s3export-UID only, not users"},
		"deleting a user's S3Export":      {do: remove(users), want: "not users"},
		"deleting one that is to go":      {do: remove(ended)},
		"deleting one that it made":       {do: remove(ours)},
		"deleting a user's S3Import":      {do: remove(theirs), want: "not theirs"},
		"deleting an S3Import of a while": {do: remove(timed)},
		"deleting one of a token":         {do: remove(token)},
		"deleting a record":               {do: remove(record), want: "not record"},
		"a prime's annotation":            {do: patch(prime, annotated)},
		"an annotation of a user's claim": {do: patch(claim, annotated)},
		"the spec of a user's claim": {
			do: patch(claim, `{"spec":{"volumeName":"pv-1"}}`), want: "never changes the spec",
		},
	} {
		t.Run(name, func(t *testing.T) { checkOutcome(t, "the manager", tt.do(), tt.want) })
	}
}

// testOwnWebhook: the manager keeps the caBundle of its webhook and changes nothing else of it.
func (c *cast) testOwnWebhook(t *testing.T) {
	text, err := os.ReadFile("../manifests/webhook/configuration.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shipped := &admissionv1.MutatingWebhookConfiguration{}
	if err := sigsyaml.UnmarshalStrict(text, shipped); err != nil {
		t.Fatal(err)
	}
	for i := range shipped.Webhooks { // Nobody is to be asked here.
		shipped.Webhooks[i].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"nobody": "here"}}
	}
	c.create(t, shipped)
	_, bundle := servingPair(t)
	type config = *admissionv1.MutatingWebhookConfiguration
	for name, tt := range map[string]struct {
		change func(config)
		want   bool // Allowed.
	}{
		"the caBundle": {change: func(o config) {
			o.Webhooks[0].ClientConfig.CABundle, o.Webhooks[1].ClientConfig.CABundle = bundle, bundle
		}, want: true},
		"nothing": {change: func(config) {}, want: true},
		"a rule":  {change: func(o config) { o.Webhooks[0].Rules[0].Resources = []string{"pods"} }},
		"an operation": {change: func(o config) {
			o.Webhooks[0].Rules[0].Operations = append(o.Webhooks[0].Rules[0].Operations, admissionv1.Update)
		}},
		"the namespaces": {change: func(o config) { o.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{} }},
		"the objects": {change: func(o config) {
			o.Webhooks[0].ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}
		}},
		"the conditions":     {change: func(o config) { o.Webhooks[0].MatchConditions = nil }},
		"a condition":        {change: func(o config) { o.Webhooks[0].MatchConditions[0].Expression = "true" }},
		"the failure policy": {change: func(o config) { o.Webhooks[0].FailurePolicy = new(admissionv1.Ignore) }},
		"the timeout":        {change: func(o config) { o.Webhooks[0].TimeoutSeconds = new(int32(30)) }},
		"the reinvocation": {change: func(o config) {
			o.Webhooks[0].ReinvocationPolicy = new(admissionv1.NeverReinvocationPolicy)
		}},
		"the service": {change: func(o config) { o.Webhooks[0].ClientConfig.Service.Namespace = "elsewhere" }},
		"a URL instead of a service": {change: func(o config) {
			o.Webhooks[0].ClientConfig = admissionv1.WebhookClientConfig{URL: new("https://example.com")}
		}},
		"an entry more": {change: func(o config) {
			more := *o.Webhooks[0].DeepCopy()
			more.Name = "more.s3populator.io"
			o.Webhooks = append(o.Webhooks, more)
		}},
		"an entry less": {change: func(o config) { o.Webhooks = o.Webhooks[:1] }},
	} {
		t.Run(name, func(t *testing.T) {
			o := shipped.DeepCopy()
			tt.change(o)
			want := "changes nothing of a webhook but its caBundle"
			if tt.want {
				want = ""
			}
			checkOutcome(t, "the manager", c.as[ourselves].Update(t.Context(), o.DeepCopy(), client.DryRunAll), want)
			checkOutcome(t, "an administrator", c.as[root].Update(t.Context(), o.DeepCopy(), client.DryRunAll), "")
		})
	}
}
