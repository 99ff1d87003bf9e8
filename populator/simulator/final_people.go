// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// disturb: time, users, administrators and broken nodes.
func (d *departure) disturb() []action {
	w := d.w
	list := []action{{"clock", "goes on", 25, func() {
		w.now = w.now.Add(pick(w.choices, 200*time.Millisecond, time.Second, 5*time.Second, 16*time.Second, time.Minute))
	}}}
	if w.depth > 0 {
		list = nil
	}
	list = append(list, d.policyActions()...)
	for _, name := range claimsOfUsers {
		list = append(list, d.userActions(name)...)
	}
	if w.setting.interference {
		list = append(list, d.administratorActions()...)
		for range 4 { // A node that is cut off is what a volume may not be taken under.
			list = append(list, w.nodeActions()...)
		}
	}
	return list
}

func (d *departure) userActions(name string) []action {
	w := d.w
	var list []action
	add := func(what string, weight int, do func()) { list = append(list, action{"user", what, weight, do}) }
	c := w.claim(name)
	if c == nil {
		if !w.leaving(namespace) {
			add("creates claim "+name, 40, func() { d.createClaim(name) })
		}
		return list
	}
	if pod := w.consumerOf(name); pod != nil {
		add("deletes the pod of "+name, 20, func() { w.must(w.delete(pod, client.DeleteOptions{})) })
	} else if c.DeletionTimestamp == nil && !w.leaving(namespace) {
		add("runs a pod with "+name, 20, func() { w.createConsumer(name) })
	}
	if c.DeletionTimestamp == nil && c.Status.Phase == corev1.ClaimBound {
		add("deletes claim "+name, 15, func() { w.must(w.delete(c, client.DeleteOptions{})) })
	}
	set := func(what string, weight int, annotation, value string) {
		add(what+" "+name, weight, func() {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) { annotate(c, annotation, value) })
		})
	}
	set("wants an export of", 2, v1alpha1.AnnotationExportOnDelete, pick(w.choices, "true", "false"))
	if c.Annotations[v1alpha1.AnnotationExportEndpoint] != "" {
		set("corrects the place of", 3, v1alpha1.AnnotationExportTo, goodPlace)
		set("spoils the place of", 1, v1alpha1.AnnotationExportTo, badPlace)
	}
	set("asks to retry", 1, v1alpha1.AnnotationRetry, fmt.Sprint(w.version))
	if c.DeletionTimestamp != nil {
		set("skips the export of", 1, v1alpha1.AnnotationSkipFinalExport, "true")
	}
	return list
}

func (d *departure) createClaim(name string) {
	w := d.w
	c := plainClaim(name, w.setting.mode)
	if d.policies {
		c.Labels = map[string]string{labelPolicy: pick(w.choices, "yes", "yes", "no")}
		if w.choices.below(3) > 0 {
			w.must(w.create(c)) // It says nothing itself.
			return
		}
	}
	c.Annotations = map[string]string{
		v1alpha1.AnnotationExportEndpoint: "http://s3",
		v1alpha1.AnnotationExportTo:       pick(w.choices, goodPlace, goodPlace, goodPlace, badPlace),
		v1alpha1.AnnotationExportOnDelete: pick(w.choices, "true", "true", "true", "false"),
	}
	w.must(w.create(c))
}

func (d *departure) administratorActions() []action {
	w := d.w
	var list []action
	add := func(what string, weight int, do func()) {
		list = append(list, action{"administrator", what, weight, do})
	}
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if uid, ok := strings.CutPrefix(c.Name, exportClaimPrefix); ok && c.DeletionTimestamp == nil {
			add("deletes export claim of "+uid, 2, func() { w.must(w.delete(c, client.DeleteOptions{})) })
		} else if !ok && c.DeletionTimestamp != nil && slices.Contains(c.Finalizers, finalizerOfOurs) {
			add("takes the finalizer off claim "+c.Name, 1, func() { d.force(c) })
			add("takes the name of the export claim of "+c.Name, 1, func() { d.createImposter(c) })
		}
	}
	for _, e := range all[*v1alpha1.S3Export](w.server) {
		add("deletes S3Export "+e.Name, 2, func() { w.must(w.delete(e, client.DeleteOptions{})) })
	}
	for _, p := range all[*corev1.Pod](w.server) {
		if strings.HasPrefix(p.Name, exportPodPrefix) && p.DeletionTimestamp == nil {
			add("deletes pod "+p.Name, 2, func() { w.must(w.delete(p, client.DeleteOptions{})) })
		}
		// Where nothing is attached, nobody can tell that the process of a pod that is forced away goes on.
		if p.DeletionTimestamp != nil && (!w.setting.unattached || strings.HasPrefix(p.Name, exportPodPrefix)) {
			add("deletes pod "+p.Name+" by force", 5, func() {
				d.seen.ForcedDeletions++
				w.remove(p)
			})
		}
	}
	if n, ok := one[*corev1.Namespace](w.server, "", namespace); ok && n.DeletionTimestamp == nil && w.choices.oneIn(8) {
		add("deletes the namespace", 1, func() {
			d.seen.Namespaces++
			w.must(w.delete(n, client.DeleteOptions{}))
		})
	}
	return list
}

// force is what is done to an object that does not go: its finalizers are taken off.
func (d *departure) force(c *corev1.PersistentVolumeClaim) {
	d.seen.Forced++
	d.excused[c.UID] = true
	edit(d.w.server, c, func(c *corev1.PersistentVolumeClaim) { c.Finalizers = without(c.Finalizers, finalizerOfOurs) })
}

func (d *departure) createImposter(c *corev1.PersistentVolumeClaim) {
	w := d.w
	name := exportClaimPrefix + string(c.UID)
	if w.claim(name) != nil || w.leaving(namespace) {
		return
	}
	i := plainClaim(name, w.setting.mode)
	w.must(w.create(i))
	d.imposters[i.UID] = true
	d.seen.Imposters++
}

// mend ends the trouble: nodes are up, and nobody interferes. Who spoilt a place corrects it later.
func (d *departure) mend() {
	w := d.w
	w.settling, w.poolFull, w.actor = true, false, "mend"
	for _, n := range w.nodes {
		n.down = false
	}
	for _, r := range w.replicas {
		r.stalled = nil
		if r.zombie {
			r.stop()
		}
	}
}

// tearDown: people do what conditions ask them for, and delete all claims.
func (d *departure) tearDown() {
	w := d.w
	w.teardown, w.actor = true, "teardown"
	d.correctPolicies()
	for _, name := range claimsOfUsers {
		if p := w.consumerOf(name); p != nil && p.DeletionTimestamp == nil {
			w.must(w.delete(p, client.DeleteOptions{}))
		}
		if c := w.claim(name); c != nil {
			edit(w.server, c, func(c *corev1.PersistentVolumeClaim) {
				annotate(c, v1alpha1.AnnotationExportTo, goodPlace)
				annotate(c, v1alpha1.AnnotationExportEndpoint, "http://s3")
			})
			w.must(w.delete(c, client.DeleteOptions{}))
		}
	}
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if d.imposters[c.UID] {
			w.must(w.delete(c, client.DeleteOptions{}))
		}
	}
	for _, e := range all[*v1alpha1.S3Export](w.server) {
		if w.claimOf(uidOf(e)) == nil && (e.Status.Phase == v1alpha1.ExportFailed || d.outlived(e)) {
			w.must(w.delete(e, client.DeleteOptions{})) // The one way to give up what nobody holds any more.
		}
	}
}

// outlived tells that an export read for an export claim that somebody deleted, and another one is there.
func (d *departure) outlived(e *v1alpha1.S3Export) bool {
	c := d.w.claim(exportClaimPrefix + string(uidOf(e)))
	return c != nil && e.Status.ClaimUID != "" && e.Status.ClaimUID != string(c.UID)
}
