// SPDX-License-Identifier: Apache-2.0

package export

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/export/protocol"
)

// A mover that was deleted stays known until its export is over: suspend may be true no more when its
// end is seen. The next mover of the same export is another one.
func TestADeletedMoverIsRemembered(t *testing.T) {
	t.Parallel()
	world := func(name, mover string) *protocol.State {
		return &protocol.State{
			Export: &v1alpha1.S3Export{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}},
			Mover:  &corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(mover)}},
		}
	}
	var k sightings
	first := world("run", "m-1")
	if k.wasDeleted(first) {
		t.Error("a mover is known as deleted that nobody deleted")
	}
	k.noteDeleted(first)
	for what, c := range map[string]struct {
		in   *protocol.State
		want bool
	}{
		"the same mover": {first, true},
		"the next mover": {world("run", "m-2"), false},
		"another export": {world("other", "m-1"), false},
		"no mover":       {&protocol.State{Export: first.Export}, false},
	} {
		if got := k.wasDeleted(c.in); got != c.want {
			t.Errorf("%s: deleted is %v, want %v", what, got, c.want)
		}
	}
	k.forget(client.ObjectKeyFromObject(first.Export))
	if k.wasDeleted(first) {
		t.Error("the mover of an export that is over is remembered")
	}
}
