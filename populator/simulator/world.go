// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

const (
	namespace = "team"
	className = "fast"
	driver    = "csi.example.com"
)

// setting is how a cluster is made; chosen by the seed.
type setting struct {
	binding storagev1.VolumeBindingMode
	policy  corev1.PersistentVolumeReclaimPolicy
	mode    corev1.PersistentVolumeAccessMode
	// immediate claims carry bind=Immediate.
	immediate bool
	// unattached: the driver has nothing to attach, as with a shared file system.
	unattached bool
	// strangers: volumes and claims with data that is not ours come and go.
	strangers bool
	// interference turns administrators and dying nodes on; without it only the manager fails.
	interference bool
}

// world is a cluster.
type world struct {
	*server
	choices *choices
	setting setting
	subject Subject

	nodes     []*node
	processes []*process
	contents  map[types.UID]*content // By the UID of a volume.
	// making are claims as the provisioner saw them when it began to make their volumes.
	making map[types.UID]*corev1.PersistentVolumeClaim
	// poolFull: no volume can be made.
	poolFull bool
	replicas []*replica
	// settling: nobody interferes any more, and what was broken has been mended.
	settling bool
	// teardown: the people are gone and their claims with them.
	teardown bool
	depth    int

	// writes of the manager so far.
	writes int
	// wroteAt is when the manager last wrote, even if that changed nothing.
	wroteAt time.Time

	oracle *oracle
	// play is what happens in this cluster besides Kubernetes, and who judges it.
	play  scenario
	trace []string
}

// scenario is what the manager is used for: its people, what runs in pods, and the promises.
type scenario interface {
	// disturb is what people and broken nodes could do now; nothing of it when the world settles.
	disturb() []action
	// work is what the processes of pods, and controllers beside the manager, could do now.
	work() []action
	// changed, starts and destroys hear of a change, of a process and of the end of a volume's data.
	changed(c change)
	starts(p *process)
	destroys(v *corev1.PersistentVolume)
	// judge looks at the whole after every step.
	judge()
}

// action is one step that somebody could take now.
type action struct {
	actor, what string
	weight      int
	do          func()
}

// stopped ends a run; it carries the broken promise.
type stopped struct{ promise, detail string }

func newWorld(c *choices, subject Subject) *world {
	w := &world{
		server:   newServer(subject.Scheme, time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)),
		choices:  c,
		subject:  subject,
		nodes:    []*node{{name: "a"}, {name: "b"}},
		contents: map[types.UID]*content{},
		making:   map[types.UID]*corev1.PersistentVolumeClaim{},
		setting: setting{
			binding:      pick(c, storagev1.VolumeBindingImmediate, storagev1.VolumeBindingWaitForFirstConsumer),
			policy:       pick(c, corev1.PersistentVolumeReclaimDelete, corev1.PersistentVolumeReclaimRetain),
			mode:         pick(c, corev1.ReadWriteOnce, corev1.ReadWriteMany),
			immediate:    c.below(2) == 1,
			strangers:    c.below(3) == 1,
			interference: c.below(8) != 0,
		},
	}
	w.oracle = newOracle(w)
	w.play = population{w.oracle}
	w.changed = func(c change) { w.play.changed(c) }
	w.actor = "setup"
	w.must(w.create(&storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: className}, Provisioner: driver,
		VolumeBindingMode: &w.setting.binding, ReclaimPolicy: &w.setting.policy,
	}))
	w.must(w.create(&storagev1.CSIDriver{ObjectMeta: metav1.ObjectMeta{Name: driver}}))
	for _, name := range []string{"models", "weights"} {
		w.createSource(name)
	}
	w.replicas = []*replica{newReplica(w, "manager-0"), newReplica(w, "manager-1")}
	w.replicas[0].lead()
	return w
}

func (w *world) must(err error) {
	if err != nil {
		panic(fmt.Sprintf("the simulator itself is wrong: %v", err))
	}
}

func (w *world) say(format string, args ...any) {
	w.trace = append(
		w.trace,
		fmt.Sprintf("%8s %-14s ", w.now.Sub(epoch).Round(100*time.Millisecond), w.actor)+fmt.Sprintf(format, args...),
	)
}

var epoch = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// usual is how much likelier a cluster's own work is than a disturbance of the same weight.
const usual = 12

// actions that are possible now. What is chaos is possible only before the world settles.
func (w *world) actions() []action {
	var list []action
	for _, part := range []func() []action{
		w.managerActions, w.binderActions, w.provisionerActions, w.schedulerActions, w.attachActions,
		w.kubeletActions, w.play.work, w.collectorActions,
	} {
		list = append(list, part()...)
	}
	if w.settling {
		return list
	}
	for i := range list {
		list[i].weight *= usual
	}
	return append(list, w.play.disturb()...)
}

// step lets one of them happen.
func (w *world) step() {
	list := w.actions()
	total := 0
	for _, a := range list {
		total += a.weight
	}
	at := w.choices.below(total)
	for _, a := range list {
		if at -= a.weight; at < 0 {
			w.perform(a)
			return
		}
	}
}

func (w *world) perform(a action) {
	before := w.actor
	w.actor = a.actor
	w.say("%s", a.what)
	a.do()
	w.actor = before
	w.play.judge()
}

// class of every claim here.
func (w *world) late() bool { return w.setting.binding == storagev1.VolumeBindingWaitForFirstConsumer }

func (w *world) createSource(name string) {
	w.must(w.create(&v1alpha1.S3Source{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: v1alpha1.S3SourceSpec{
			S3Location: v1alpha1.S3Location{Bucket: name, Endpoint: "http://s3"}, Prefix: "v1/",
			Retries: v1alpha1.Retries{Limit: new(int32(3))},
		},
	}))
}

// claimOf finds a claim by its UID.
func (w *world) claimOf(uid types.UID) *corev1.PersistentVolumeClaim {
	for _, c := range all[*corev1.PersistentVolumeClaim](w.server) {
		if c.UID == uid {
			return c
		}
	}
	return nil
}

func (w *world) claim(name string) *corev1.PersistentVolumeClaim {
	c, _ := one[*corev1.PersistentVolumeClaim](w.server, namespace, name)
	return c
}

func (w *world) volume(name string) *corev1.PersistentVolume {
	v, _ := one[*corev1.PersistentVolume](w.server, "", name)
	return v
}

// asksForData tells that a claim is to be filled from an S3Source.
func asksForData(c *corev1.PersistentVolumeClaim) bool {
	return c.Spec.DataSourceRef != nil && c.Spec.DataSourceRef.Kind == v1alpha1.KindS3Source
}
