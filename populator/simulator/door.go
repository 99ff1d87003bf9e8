// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// door stands before every request of one replica.
type door struct {
	w       *world
	replica *replica
	life    int
}

// before lets others act between two requests of a pass, refuses, or kills.
func (g *door) before(write bool, verb string, o any) error {
	w := g.w
	switch o.(type) {
	case *corev1.PersistentVolumeList, *storagev1.VolumeAttachmentList:
		return nil // Passes may share a list of all; one that acts meanwhile would wait for itself.
	}
	if g.replica.mapping {
		return nil
	}
	if w.settling || w.depth > 0 {
		return g.fate(write, verb, o)
	}
	if w.choices.oneIn(6) {
		w.depth++
		was := w.actor
		for range 1 + w.choices.below(3) {
			w.step()
		}
		w.actor = was
		w.depth--
	}
	return g.fate(write, verb, o)
}

// fate of one request.
func (g *door) fate(write bool, verb string, o any) error {
	w := g.w
	if g.replica.life != g.life {
		panic(errCrash) // Another step ended this process.
	}
	if !write || w.settling {
		return nil
	}
	switch w.choices.below(60) {
	case 57:
		w.say("  %s %s: refused", verb, name(o))
		return apierrors.NewInternalError(errors.New("etcd has no leader"))
	case 58:
		w.say("  dies before %s %s", verb, name(o))
		g.die()
	}
	return nil
}

func (g *door) die() {
	zombie := g.replica.zombie
	g.replica.stop()
	if !zombie {
		g.replica.lead()
	}
	panic(errCrash)
}

// after loses the answer, or kills.
func (g *door) after(verb string, o any) error {
	w := g.w
	w.wroteAt = w.now
	w.say("  %s %s", verb, name(o))
	w.play.judge()
	w.writes++
	if w.writes == w.subject.CrashAfter {
		w.say("  dies after write %d", w.writes)
		g.die()
	}
	if w.settling {
		return nil
	}
	switch w.choices.below(60) {
	case 58:
		w.say("  the answer is lost")
		return apierrors.NewTimeoutError("the answer was lost", 1)
	case 59:
		w.say("  dies")
		g.die()
	}
	return nil
}

func name(o any) string {
	if c, ok := o.(client.Object); ok {
		return fmt.Sprintf("%T %s", o, c.GetName())[4:]
	}
	return fmt.Sprintf("%T", o)
}
