// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patch applies a patch as the API server does: on what is stored, a resourceVersion or UID
// in it is a precondition, and it reaches either the object or its status, never both.
func (s *server) patch(o client.Object, p client.Patch, status bool) error {
	key := client.ObjectKeyFromObject(o)
	data, err := p.Data(o)
	if err != nil {
		return fmt.Errorf("build patch: %w", err)
	}
	current := s.get(kindOf(o), key)
	if current == nil {
		return apierrors.NewNotFound(resource(o), key.Name)
	}
	next, err := patched(current, p.Type(), data)
	if err != nil {
		return apierrors.NewGenericServerResponse(
			http.StatusUnprocessableEntity,
			"patch",
			schema.GroupResource{},
			key.Name,
			err.Error(),
			0,
			false,
		)
	}
	if err := s.update(current, next, status); err != nil {
		return err
	}
	if stored := s.get(kindOf(o), key); stored != nil {
		assign(o, stored)
	}
	return nil
}

func patched(current client.Object, kind types.PatchType, data []byte) (client.Object, error) {
	before, err := json.Marshal(current)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	empty := reflect.New(reflect.TypeOf(current).Elem()).Interface().(client.Object)
	var after []byte
	switch kind {
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, data)
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, data, empty)
	case types.JSONPatchType:
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch(data); err == nil {
			after, err = operations.Apply(before)
		}
	default:
		err = fmt.Errorf("patch type %s is not supported", kind)
	}
	if err != nil {
		return nil, fmt.Errorf("apply patch: %w", err)
	}
	if err := json.Unmarshal(after, empty); err != nil {
		return nil, fmt.Errorf("decode patched object: %w", err)
	}
	return empty, nil
}

// update checks and stores what somebody wants an object, or its status, to be.
func (s *server) update(current, next client.Object, status bool) error {
	name := current.GetName()
	if v := next.GetResourceVersion(); v != "" && v != current.GetResourceVersion() {
		return apierrors.NewConflict(resource(current), name, fmt.Errorf("the object has been modified"))
	}
	if u := next.GetUID(); u != "" && u != current.GetUID() {
		return apierrors.NewConflict(
			resource(current),
			name,
			fmt.Errorf("UID in precondition: %s, UID in object meta: %s", u, current.GetUID()),
		)
	}
	if status {
		only := current.DeepCopyObject().(client.Object)
		statusOf(only).Set(statusOf(next))
		next = only
	} else {
		if why := immutable(current, next); why != "" {
			return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "update", resource(current), name, why, 0,
				false)
		}
		keep(current, next)
	}
	s.replace(current, next)
	return nil
}

// keep restores what the main resource cannot change.
func keep(current, next client.Object) {
	next.SetUID(current.GetUID())
	next.SetGeneration(current.GetGeneration())
	next.SetCreationTimestamp(current.GetCreationTimestamp())
	next.SetDeletionTimestamp(nil)
	if at := current.GetDeletionTimestamp(); at != nil {
		next.SetDeletionTimestamp(&metav1.Time{Time: at.Time})
	}
	if f := statusOf(next); f.IsValid() {
		f.Set(statusOf(current.DeepCopyObject().(client.Object)))
	}
}

// immutable tells what of a claim's spec may not change while it is Pending.
func immutable(current, next client.Object) string {
	was, ok := current.(*corev1.PersistentVolumeClaim)
	if !ok {
		return ""
	}
	a, b := was.Spec.DeepCopy(), next.(*corev1.PersistentVolumeClaim).Spec.DeepCopy()
	if a.VolumeName == "" {
		b.VolumeName = ""
	}
	x, errA := json.Marshal(a)
	y, errB := json.Marshal(b)
	if errA != nil || errB != nil || !bytes.Equal(x, y) {
		return "spec: Forbidden: spec is immutable after creation"
	}
	return ""
}

func statusOf(o client.Object) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByName("Status")
}
