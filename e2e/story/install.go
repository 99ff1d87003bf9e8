// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/csi/class"
)

// Storage classes: binding mode and reclaim policy.
const (
	ImmediateDelete = "immediate-delete"
	ImmediateRetain = "immediate-retain"
	LateDelete      = "late-delete"
	LateRetain      = "late-retain"
)

// Volume attributes classes of the test driver.
const (
	Standard = "standard"
	Fast     = "fast"
)

// Where the manager runs.
const (
	SystemNamespace = "s3populator-system"
	ManagerName     = "s3populator"
	managerAccount  = "system:serviceaccount:" + SystemNamespace + ":" + ManagerName
)

// installPatience covers a machine that builds something else meanwhile.
const installPatience = 5 * time.Minute

//go:embed testdata/volumepopulators.yaml
var volumePopulators []byte

// install applies what users apply, and waits until the API server serves our kinds.
func (w *World) install(ctx context.Context) error {
	if err := driverHealthy(ctx, w.Faults); err != nil {
		return err
	}
	for _, c := range classes() {
		if err := w.Client.Create(ctx, c); err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("create class %s: %w", c.GetName(), err)
		}
	}
	objects, err := decode(bytes.NewReader(volumePopulators))
	if err != nil {
		return err
	}
	if err := w.apply(ctx, objects); err != nil {
		return err
	}
	ours := w.options.Install
	if ours == nil {
		ours = applyManifests
	}
	if err := ours(ctx, w); err != nil {
		return err
	}
	return await(ctx, never, func() error { return w.Client.List(ctx, &v1alpha1.S3ImportList{}) })
}

func applyManifests(ctx context.Context, w *World) error {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return err
	}
	objects, err := w.manifests(ctx, filepath.Join(source, "manifests/default"))
	if err != nil {
		return err
	}
	return w.apply(ctx, objects)
}

// Overlay applies manifests/default as an overlay with these lines changes it, and waits until
// the manager is as it says, and alone. Undo applies manifests/default again.
func (s *Story) Overlay(lines string) (undo func()) {
	s.T.Helper()
	dir := s.T.TempDir()
	base, err := filepath.Rel(dir, s.File("manifests"))
	s.must("find the manifests", err)
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [" + base + "/default]\n" +
		strings.ReplaceAll(lines, "MANIFESTS", base) + "\n"
	s.must("write an overlay", os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
	undo = func() {
		s.T.Helper()
		s.must("install again", applyManifests(s.T.Context(), s.World))
		s.ManagerSettled()
	}
	objects, err := s.World.manifests(s.T.Context(), dir)
	s.must("render an overlay", err)
	s.must("apply an overlay", s.World.apply(s.T.Context(), objects))
	s.ManagerSettled()
	return undo
}

// ManagerSettled waits until the replicas are those of the Deployment, and no others.
func (s *Story) ManagerSettled() {
	s.T.Helper()
	s.Await("the manager to be replaced", func() error {
		d, key := &appsv1.Deployment{}, client.ObjectKey{Namespace: SystemNamespace, Name: ManagerName}
		if err := s.World.Client.Get(s.T.Context(), key, d); err != nil {
			return err
		}
		return errors.Join(s.World.managerAvailable(s.T.Context()), s.World.onlyReplicas(s.T.Context(), *d.Spec.Replicas))
	})
}

func (w *World) apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		as := client.ApplyConfigurationFromUnstructured(o)
		if err := w.Client.Apply(ctx, as, client.FieldOwner("e2e"), client.ForceOwnership); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// never is for conditions that no watch shows yet.
func never() <-chan struct{} { return nil }

func classes() []client.Object {
	storage := func(
		name string, binding storagev1.VolumeBindingMode, reclaim corev1.PersistentVolumeReclaimPolicy,
	) client.Object {
		return class.Storage(name, binding, reclaim, nil)
	}
	return []client.Object{
		storage(ImmediateDelete, storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimDelete),
		storage(ImmediateRetain, storagev1.VolumeBindingImmediate, corev1.PersistentVolumeReclaimRetain),
		storage(LateDelete, storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimDelete),
		storage(LateRetain, storagev1.VolumeBindingWaitForFirstConsumer, corev1.PersistentVolumeReclaimRetain),
		class.Attributes(Standard, Standard), class.Attributes(Fast, Fast),
	}
}

// manifests are those that users install, with the manager's pods stamped so that new
// images restart them.
func (w *World) manifests(ctx context.Context, dir string) ([]*unstructured.Unstructured, error) {
	var out, trouble bytes.Buffer
	cmd := w.Node.Command(ctx, "kubectl", "kustomize", dir)
	cmd.Stdout, cmd.Stderr = &out, &trouble
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("render %s: %w: %s", dir, err, trouble.String())
	}
	objects, err := decode(&out)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", dir, err)
	}
	stamp, err := imageStamp(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		at := []string{"spec", "template", "metadata", "annotations", "e2e/images"}
		if err := unstructured.SetNestedField(o.Object, stamp, at...); err != nil {
			return nil, fmt.Errorf("stamp the manager: %w", err)
		}
	}
	return objects, nil
}

func decode(r io.Reader) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(r, 4096); ; {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("decode: %w", err)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// awaitManager waits until all replicas are of this version and ready.
func (w *World) awaitManager(ctx context.Context) error {
	return await(ctx, w.Seen.Changed, func() error { return w.managerAvailable(ctx) })
}

func (w *World) managerAvailable(ctx context.Context) error {
	d := &appsv1.Deployment{}
	if err := w.Client.Get(ctx, client.ObjectKey{Namespace: SystemNamespace, Name: ManagerName}, d); err != nil {
		return err
	}
	want := *d.Spec.Replicas
	s := d.Status
	if s.ObservedGeneration < d.Generation || s.UpdatedReplicas != want || s.ReadyReplicas != want || s.Replicas != want {
		return fmt.Errorf("the manager has %d of %d replicas ready, %d of this version, %d in all\n%s",
			s.ReadyReplicas, want, s.UpdatedReplicas, s.Replicas, w.describeNamespace(ctx, SystemNamespace))
	}
	return nil
}
