// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// The names that are documented for what is made for an export before deletion.
const (
	exportClaimPrefix = "s3export-"
	exportPodPrefix   = "export-"
)

// Destinations of the claims of users.
const (
	goodPlace = "s3://backups/claims"
	badPlace  = "s3://gone/claims"
)

// departure is the scenario of claims that are exported before they go.
type departure struct {
	*finalOracle
	w *world
	// data is how often what is on a volume was written.
	data map[types.UID]int
	// read is what a mover has read, by its pod.
	read map[types.UID]int
	// manifests are what is complete in S3, by the UID of the claim that was to go.
	manifests map[types.UID]int
	// policies: an administrator makes policies that select claims by their labels.
	policies bool
}

// RunFinal plays a seed of claims that are exported before they go: everybody interferes with everybody, then
// what can be exported must be, then all claims are deleted and nothing may be left.
func RunFinal(seed uint64, subject Subject) Result { return runFinal(seeded(seed), subject) }

func runFinal(c *choices, subject Subject) Result {
	var d *departure
	r := run(c, runFinal, func() *world {
		d = newDeparture(newWorld(c, subject))
		return d.w
	}, func(w *world) {
		d.mend()
		w.settle()
		d.judgeRest()
		d.tearDown()
		w.settle()
		d.judgeEnd()
	})
	if d != nil {
		r.Final = d.seen
	}
	return r
}

func newDeparture(w *world) *departure {
	d := &departure{
		w: w, data: map[types.UID]int{}, read: map[types.UID]int{}, manifests: map[types.UID]int{},
	}
	d.finalOracle = newFinalOracle(d)
	w.setting.unattached = w.choices.oneIn(3)
	d.policies = w.choices.oneIn(3)
	w.play = d
	w.must(w.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Finalizers: []string{"kubernetes"}}}))
	return d
}

// work is what pods do, the controller of S3Exports, and the one of namespaces.
func (d *departure) work() []action {
	list := d.processActions()
	list = append(list, d.exportActions()...)
	return append(list, d.namespaceActions()...)
}

func (d *departure) processActions() []action {
	var list []action
	w := d.w
	for _, p := range w.processes {
		if p.ended || p.cutOff {
			continue
		}
		if strings.HasPrefix(p.name, exportPodPrefix) {
			list = append(list, action{"mover", p.name + " goes on", 5, func() { d.export(p) }})
			if !w.settling && w.setting.interference {
				list = append(list, action{"mover", p.name + " is killed", 1, func() { p.ended = true }})
			}
		} else if !w.settling && p.writes() {
			list = append(list, action{"user", p.name + " writes", 2, func() {
				for _, m := range p.mounts {
					d.data[m.volume]++
				}
			}})
		}
	}
	return list
}

// export is what a mover does: it reads, and then its manifest is there, or its bucket is not.
func (d *departure) export(p *process) {
	volume := p.mounts[0].volume
	if p.stage == 0 {
		p.stage, d.read[p.pod] = 1, d.data[volume]
		return
	}
	p.ended = true
	e, ok := one[*v1alpha1.S3Export](d.w.server, namespace, strings.TrimPrefix(p.name, exportPodPrefix))
	if !ok || e.Spec.Destination.Bucket == badBucket {
		return
	}
	uid := types.UID(e.Labels[v1alpha1.LabelClaimUID])
	p.report = &wire.Report{Class: wire.Done}
	d.manifests[uid] = d.read[p.pod]
	d.w.say("  its manifest is complete, of data %d", d.read[p.pod])
}

// exportActions are those of the controller of S3Exports, as far as their users see it.
func (d *departure) exportActions() []action {
	var list []action
	w := d.w
	for _, e := range all[*v1alpha1.S3Export](w.server) {
		pod, running := one[*corev1.Pod](w.server, namespace, exportPodPrefix+e.Name)
		c := w.claim(e.Spec.ClaimName)
		switch {
		case e.Status.Phase == v1alpha1.ExportSucceeded || e.Status.Phase == v1alpha1.ExportFailed:
			if running && pod.DeletionTimestamp == nil && c != nil && c.DeletionTimestamp != nil {
				list = append(list, action{"exports", "frees the claim of " + e.Name, 5, func() {
					w.must(w.delete(pod, client.DeleteOptions{}))
				}})
			}
		case running && !metav1.IsControlledBy(pod, e): // One of an earlier S3Export of this name, which is collected.
		case running && pod.DeletionTimestamp == nil && ended(pod):
			list = append(list, action{"exports", "judges " + e.Name, 5, func() { d.judgePod(e, pod) }})
		case running || c == nil || w.leaving(namespace):
		case e.Status.ClaimUID != "" && e.Status.ClaimUID != string(c.UID):
			list = append(list, action{"exports", "refuses the claim of " + e.Name, 5, func() { d.refuseClaim(e) }})
		case c.Status.Phase == corev1.ClaimBound && c.DeletionTimestamp == nil:
			list = append(list, action{"exports", "starts a mover for " + e.Name, 5, func() { d.createMover(e) }})
		}
	}
	return list
}

// refuseClaim ends a run that began with another claim.
func (d *departure) refuseClaim(e *v1alpha1.S3Export) {
	edit(d.w.server, e, func(e *v1alpha1.S3Export) {
		e.Status.Phase = v1alpha1.ExportFailed
		e.Status.Conditions = []metav1.Condition{
			{Type: v1alpha1.ConditionFailed, Status: metav1.ConditionTrue, Reason: "ClaimReplaced", Message: "it is another"},
		}
	})
}

func (d *departure) createMover(e *v1alpha1.S3Export) {
	claim := d.w.claim(e.Spec.ClaimName)
	edit(d.w.server, e, func(e *v1alpha1.S3Export) { e.Status.ClaimUID = string(claim.UID) })
	d.w.must(d.w.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: exportPodPrefix + e.Name, Namespace: namespace,
			Labels: map[string]string{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: v1alpha1.GroupVersion.String(), Kind: "S3Export", Name: e.Name, UID: e.UID, Controller: new(true)},
			},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{
				{Name: moverContainer, VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/volume", ReadOnly: true}}},
			},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: e.Spec.ClaimName, ReadOnly: true},
			}}},
		},
	}))
	d.seen.Exports++
}

// judgePod: a mover that was killed is tried again.
func (d *departure) judgePod(e *v1alpha1.S3Export, pod *corev1.Pod) {
	set := func(phase v1alpha1.ExportPhase, condition, reason string) {
		edit(d.w.server, e, func(e *v1alpha1.S3Export) {
			e.Status.Phase, e.Status.Location = phase, "s3://"+e.Spec.Destination.Bucket+"/"+e.Name
			e.Status.Conditions = []metav1.Condition{
				{Type: condition, Status: metav1.ConditionTrue, Reason: reason, Message: "the pod has ended"},
			}
		})
	}
	c := d.w.claim(e.Spec.ClaimName)
	switch code := pod.Status.ContainerStatuses[0].State.Terminated.ExitCode; {
	case code == 0 && (c == nil || string(c.UID) != e.Status.ClaimUID):
		d.refuseClaim(e)
	case code == 0:
		set(v1alpha1.ExportSucceeded, v1alpha1.ConditionComplete, "Exported")
	case e.Spec.Destination.Bucket == badBucket:
		d.seen.Failures++
		set(v1alpha1.ExportFailed, v1alpha1.ConditionFailed, "NoSuchBucket")
	default:
		d.w.must(d.w.delete(pod, client.DeleteOptions{}))
	}
}

// namespaceActions empty a namespace that is being deleted.
func (d *departure) namespaceActions() []action {
	w := d.w
	if !w.leaving(namespace) {
		return nil
	}
	var list []action
	objects := w.dependents()
	for _, p := range all[*v1alpha1.S3ExportPolicy](w.server) {
		objects = append(objects, p)
	}
	for _, o := range objects {
		if o.GetDeletionTimestamp() == nil {
			list = append(
				list,
				action{"namespaces", "deletes " + o.GetName(), 4, func() { w.must(w.delete(o, client.DeleteOptions{})) }},
			)
		}
	}
	return list
}
