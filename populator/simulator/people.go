// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// claimsOfUsers are the claims that come and go.
var claimsOfUsers = []string{"data-0", "data-1"}

// primePrefix and moverPrefix begin the names that are documented for what the manager makes.
const (
	primePrefix = "s3prime-"
	moverPrefix = "populate-"
)

// chaosActions: time, users, administrators and broken nodes. None happens any more when
// the world settles.
func (w *world) chaosActions() []action {
	list := []action{{"clock", "goes on", 25, func() {
		w.now = w.now.Add(
			pick(w.choices, 200*time.Millisecond, time.Second, 3*time.Second, 10*time.Second, 16*time.Second, time.Minute),
		)
	}}}
	if w.depth > 0 {
		list = nil
	}
	list = append(list, w.userActions()...)
	if w.setting.interference {
		list = append(list, w.administratorActions()...)
		list = append(list, w.nodeActions()...)
	}
	return list
}

func (w *world) userActions() []action {
	var list []action
	add := func(what string, weight int, do func()) { list = append(list, action{"user", what, weight, do}) }
	for i, name := range claimsOfUsers {
		c := w.claim(name)
		if c == nil {
			add("creates claim "+name, 40, func() { w.createClaim(name, i) })
			continue
		}
		if w.late() && w.consumerOf(name) == nil {
			add("runs a pod with "+name, 40, func() { w.createConsumer(name) })
		}
		if !w.setting.interference || c.DeletionTimestamp != nil {
			continue
		}
		add("deletes claim "+name, 1, func() { w.must(w.delete(c, client.DeleteOptions{})) })
		add("asks to retry "+name, 1, func() { w.retry(c) })
	}
	if w.setting.interference {
		for _, name := range []string{"models", "weights"} {
			if s, ok := one[*v1alpha1.S3Source](w.server, namespace, name); ok {
				add("edits source "+name, 1, func() {
					edit(w.server, s, func(s *v1alpha1.S3Source) { s.Spec.Prefix = fmt.Sprintf("v%d/", s.Generation+1) })
				})
			}
		}
	}
	return list
}

func (w *world) createClaim(name string, i int) {
	c := plainClaim(name, w.setting.mode)
	c.Spec.DataSourceRef = &corev1.TypedObjectReference{
		APIGroup: new(v1alpha1.Group),
		Kind:     v1alpha1.KindS3Source,
		Name:     []string{"models", "weights"}[i],
	}
	if w.setting.immediate {
		c.Annotations = map[string]string{v1alpha1.AnnotationBind: v1alpha1.BindImmediate}
	}
	w.must(w.create(c))
}

func plainClaim(name string, mode corev1.PersistentVolumeAccessMode) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(className),
			AccessModes:      []corev1.PersistentVolumeAccessMode{mode},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: quantity.MustParse("1Gi")},
			},
		},
	}
}

func (w *world) retry(c *corev1.PersistentVolumeClaim) {
	edit(w.server, c, func(c *corev1.PersistentVolumeClaim) {
		annotate(c, v1alpha1.AnnotationRetry, fmt.Sprint(w.version))
	})
}

func (w *world) consumerOf(claim string) *corev1.Pod {
	p, _ := one[*corev1.Pod](w.server, namespace, "app-"+claim)
	return p
}

func (w *world) createConsumer(claim string) {
	w.must(w.create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "app-" + claim, Namespace: namespace},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{
				{Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}},
			},
			Volumes: []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
			}}},
		},
	}))
}

func (w *world) administratorActions() []action {
	var list []action
	add := func(what string, weight int, do func()) {
		list = append(list, action{"administrator", what, weight, do})
	}
	weight := 1
	if w.poolFull {
		weight = 6
	}
	add("fills or empties the pool", weight, func() { w.poolFull = !w.poolFull })
	if w.setting.strangers && len(w.contents) < 8 {
		add("makes a volume with data on it", 2, w.createStatic)
		add("has an old volume of a deleted claim", 3, w.createReleased)
		add("makes a claim with a name of ours", 1, w.createImposter)
	}
	for _, v := range all[*corev1.PersistentVolume](w.server) {
		if v.Status.Phase == corev1.VolumeReleased && w.contents[v.UID] != nil && w.contents[v.UID].state == foreign &&
			!w.teardown {
			add("frees volume "+v.Name, 20, func() {
				edit(w.server, v, func(v *corev1.PersistentVolume) {
					v.Spec.ClaimRef = nil
					delete(v.Annotations, annotationBoundByController)
				})
			})
		}
	}
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if strings.HasPrefix(c.Name, primePrefix) && c.DeletionTimestamp == nil && len(c.OwnerReferences) > 0 {
			add("deletes prime "+c.Name, 1, func() { w.must(w.delete(c, client.DeleteOptions{})) })
		}
		if asksForData(c) && c.DeletionTimestamp == nil && w.claim(c.Name) != nil {
			add("orphans what claim "+c.Name+" has, and deletes it", 1, func() { w.orphan(c) })
		}
	}
	for _, p := range all[*corev1.Pod](w.server) {
		if !strings.HasPrefix(p.Name, moverPrefix) {
			continue
		}
		add("deletes pod "+p.Name, 1, func() { w.must(w.delete(p, client.DeleteOptions{})) })
		if p.DeletionTimestamp != nil {
			add("deletes pod "+p.Name+" by force", 15, func() {
				w.oracle.seen.ForcedDeletions++
				w.remove(p)
			})
		}
	}
	return list
}

// createStatic is a volume made by hand.
func (w *world) createStatic() {
	policy := pick(w.choices, corev1.PersistentVolumeReclaimRetain, corev1.PersistentVolumeReclaimDelete)
	w.createForeign(newVolume(fmt.Sprintf("static-%d", w.version), policy, w.setting.mode))
}

// createReleased is a provisioned volume that outlived its claim; it may be freed some day.
func (w *world) createReleased() {
	v := newVolume(fmt.Sprintf("old-%d", w.version), corev1.PersistentVolumeReclaimRetain, w.setting.mode)
	v.Annotations = map[string]string{v1alpha1.AnnotationProvisionedBy: driver}
	v.Spec.ClaimRef = &corev1.ObjectReference{
		APIVersion: "v1",
		Kind:       "PersistentVolumeClaim",
		Namespace:  namespace,
		Name:       "old",
		UID:        "long-gone",
	}
	w.createForeign(v)
}

func (w *world) createForeign(v *corev1.PersistentVolume) {
	w.must(w.create(v))
	w.contents[v.UID] = &content{state: foreign}
	w.oracle.policies[v.UID] = v.Spec.PersistentVolumeReclaimPolicy
}

// createImposter is somebody's claim that looks like ours, with data on its volume: of a
// claim that never was, or of one that is there.
func (w *world) createImposter() {
	uid := "x"
	if c := w.claim(pick(w.choices, claimsOfUsers...)); c != nil && w.choices.oneIn(2) {
		uid = string(c.UID)
	}
	if w.claim(primePrefix+uid) != nil {
		return
	}
	v := newVolume(fmt.Sprintf("user-%d", w.version), corev1.PersistentVolumeReclaimRetain, w.setting.mode)
	v.Annotations = map[string]string{v1alpha1.AnnotationProvisionedBy: driver}
	v.Spec.ClaimRef = &corev1.ObjectReference{Namespace: namespace, Name: primePrefix + uid}
	w.createForeign(v)
	c := plainClaim(primePrefix+uid, w.setting.mode)
	c.Spec.VolumeName = v.Name
	c.Labels = map[string]string{
		v1alpha1.LabelManagedBy: v1alpha1.ManagedBy, v1alpha1.LabelRole: v1alpha1.RolePrime, v1alpha1.LabelClaimUID: uid,
	}
	w.must(w.create(c))
	w.oracle.imposters[c.UID] = true
	w.oracle.seen.Imposters++
}

// orphan is `kubectl delete --cascade=orphan`.
func (w *world) orphan(c *corev1.PersistentVolumeClaim) {
	for _, o := range w.dependents() {
		for _, ref := range o.GetOwnerReferences() {
			if ref.UID == c.UID {
				edit(w.server, o, func(o client.Object) { o.SetOwnerReferences(nil) })
			}
		}
	}
	w.oracle.orphaned = true
	w.oracle.seen.Orphans++
	w.must(w.delete(c, client.DeleteOptions{}))
}

// nodeActions: a node that is cut off goes on running its processes, one that crashes does not.
func (w *world) nodeActions() []action {
	var list []action
	add := func(what string, weight int, do func()) { list = append(list, action{"node", what, weight, do}) }
	for _, n := range w.nodes {
		if n.down {
			add(n.name+" is back", 15, func() { n.down = false })
			continue
		}
		add(n.name+" is cut off", 1, func() { n.down = true })
		add(n.name+" crashes", 1, func() {
			n.down = true
			for _, p := range append([]*process{}, w.processes...) {
				if p.node == n.name {
					w.forget(p)
				}
			}
		})
	}
	for _, p := range all[*corev1.Pod](w.server) {
		if n := w.node(p.Spec.NodeName); p.Spec.NodeName != "" && n.down && p.DeletionTimestamp == nil {
			add("pod "+p.Name+" is evicted by a taint", 10, func() { w.must(w.delete(p, client.DeleteOptions{})) })
		}
	}
	return list
}
