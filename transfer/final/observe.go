// SPDX-License-Identifier: Apache-2.0

package final

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/retention"
)

// listPage is how many objects are held in memory at once.
const listPage = 500

// observe reads everything that a decision may rest on. The request has the UID of a claim, or its name.
func (r *Reconciler) observe(ctx context.Context, request types.NamespacedName) (State, error) {
	s := State{Namespace: request.Namespace, UID: types.UID(request.Name)}
	known, err := r.known(ctx, request)
	if err != nil {
		return State{}, err
	}
	if known == nil && strings.HasPrefix(request.Name, byName) {
		return State{}, nil
	}
	if known != nil {
		s.Name, s.UID = known.Name, known.UID
		if s.Claim = known; known.DeletionTimestamp == nil {
			return r.observeLiving(ctx, s)
		}
	}
	r.unasked.Delete(s.UID)
	for _, read := range []func(context.Context, *State) error{
		r.observeRun, r.observeVolume, r.observeClaim, r.observePolicies, r.observeUsers,
	} {
		if err := read(ctx, &s); err != nil {
			return State{}, err
		}
	}
	return s, nil
}

// observeLiving asks the API server only where the cache says that something is to be done: of most claims it has
// neither finalizers nor annotations.
func (r *Reconciler) observeLiving(ctx context.Context, s State) (State, error) {
	var all v1alpha1.S3ExportPolicyList
	if err := r.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		return State{}, fmt.Errorf("list S3ExportPolicies: %w", err)
	}
	s.Policies = onDelete(all.Items)
	if s.Unasked = r.unaskedFor(s); Decide(s).Action == Wait {
		return s, nil
	}
	if err := r.observeClaim(ctx, &s); err != nil {
		return State{}, err
	}
	if s.Claim == nil || s.Claim.DeletionTimestamp != nil {
		return State{}, errStale
	}
	err := r.observePolicies(ctx, &s)
	if err == nil {
		s.Unasked = r.unaskedFor(s)
	}
	return s, err
}

// observePolicies asks the API server which policies there are now.
func (r *Reconciler) observePolicies(ctx context.Context, s *State) error {
	if s.Claim == nil {
		return nil
	}
	var all v1alpha1.S3ExportPolicyList
	if err := r.Live.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		return fmt.Errorf("list S3ExportPolicies: %w", err)
	}
	s.Policies = onDelete(all.Items)
	return nil
}

// observeRun reads what has a name that follows from the UID.
func (r *Reconciler) observeRun(ctx context.Context, s *State) (err error) {
	s.ExportClaim, err = find(ctx, r.Live, s.Namespace, ExportClaimName(s.UID), &corev1.PersistentVolumeClaim{})
	if err != nil {
		return err
	}
	s.Export, err = find(ctx, r.Live, s.Namespace, ExportName(s.UID), &v1alpha1.S3Export{})
	if err != nil || s.Export == nil || !succeeded(s.Export) || s.Export.Status.Objects > 0 {
		return err
	}
	return r.observeEarlier(ctx, s)
}

// observeEarlier looks for the last run of the claim that had files, where the one before it goes has no regular one.
func (r *Reconciler) observeEarlier(ctx context.Context, s *State) error {
	var all v1alpha1.S3ExportList
	if err := r.Live.List(ctx, &all, client.InNamespace(s.Namespace)); err != nil {
		return fmt.Errorf("list S3Exports: %w", err)
	}
	s.Earlier = retention.LastWithFiles(all.Items, s.UID)
	return nil
}

// observeVolume finds the volume by the claim, by the record on it, or by the export claim.
func (r *Reconciler) observeVolume(ctx context.Context, s *State) error {
	var taken corev1.PersistentVolumeList
	if err := r.List(ctx, &taken, client.MatchingFields{indexTaken: string(s.UID)}); err != nil {
		return fmt.Errorf("list volumes that were taken: %w", err)
	}
	var name string
	switch {
	case s.Claim != nil:
		name = s.Claim.Spec.VolumeName
	case len(taken.Items) > 0:
		name = taken.Items[0].Name
	case s.ExportClaim != nil && s.ours(s.ExportClaim.Labels):
		name = s.ExportClaim.Spec.VolumeName
	}
	if name == "" {
		return nil
	}
	var err error
	s.Volume, err = find(ctx, r.Live, "", name, &corev1.PersistentVolume{})
	return err
}

// observeClaim reads the claim itself, if its name is known from anything.
func (r *Reconciler) observeClaim(ctx context.Context, s *State) error {
	for _, o := range []client.Object{s.ExportClaim, s.Export} {
		if s.Name == "" && !absent(o) {
			s.Name = o.GetAnnotations()[v1alpha1.AnnotationExportOf]
		}
	}
	if s.Volume != nil {
		if record, ok := RecordOf(s.Volume); ok && record.UID == s.UID {
			s.Name = record.Name
		}
	}
	s.Claim = nil
	if s.Name == "" {
		return nil
	}
	claim, err := find(ctx, r.Live, s.Namespace, s.Name, &corev1.PersistentVolumeClaim{})
	if err != nil {
		return err
	}
	if claim != nil && claim.UID == s.UID {
		s.Claim = claim
	}
	namespace, err := find(ctx, r.Live, "", s.Namespace, &corev1.Namespace{})
	s.Leaving = namespace != nil && namespace.DeletionTimestamp != nil
	return err
}

// observeUsers looks for who may write before the volume is taken, and for who reads before it is given back.
func (r *Reconciler) observeUsers(ctx context.Context, s *State) error {
	switch {
	case s.Volume == nil:
		return nil
	case !s.taken():
		var found storagev1.VolumeAttachmentList
		if err := r.List(ctx, &found, client.MatchingFields{indexAttached: s.Volume.Name}); err != nil {
			return fmt.Errorf("list attachments of volume %s: %w", s.Volume.Name, err)
		}
		for i := range found.Items {
			s.Attachments = append(s.Attachments, found.Items[i].Spec.NodeName)
		}
		return nil
	case !over(*s) && (s.ExportClaim == nil || s.ExportClaim.DeletionTimestamp == nil):
		return nil
	}
	return r.observePods(ctx, s)
}

// observePods asks the API server: our cache has only pods of ours, and not what they mount.
func (r *Reconciler) observePods(ctx context.Context, s *State) error {
	var page corev1.PodList
	for next := ""; ; {
		err := r.Live.List(ctx, &page, client.InNamespace(s.Namespace), client.Limit(listPage), client.Continue(next))
		if err != nil {
			return fmt.Errorf("list pods: %w", err)
		}
		for i := range page.Items {
			if mounts(&page.Items[i], ExportClaimName(s.UID)) {
				s.Pods = append(s.Pods, page.Items[i])
			}
		}
		if next = page.Continue; next == "" {
			return nil
		}
		page = corev1.PodList{}
	}
}

func mounts(pod *corev1.Pod, claim string) bool {
	for _, v := range pod.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			return true
		}
	}
	return false
}

// attached asks the API server whether a volume is attached to any node.
func (r *Reconciler) attached(ctx context.Context, volume string) (bool, error) {
	var page storagev1.VolumeAttachmentList
	for next := ""; ; {
		if err := r.Live.List(ctx, &page, client.Limit(listPage), client.Continue(next)); err != nil {
			return false, fmt.Errorf("list attachments: %w", err)
		}
		for i := range page.Items {
			if name := page.Items[i].Spec.Source.PersistentVolumeName; name != nil && *name == volume {
				return true, nil
			}
		}
		if next = page.Continue; next == "" {
			return false, nil
		}
		page = storagev1.VolumeAttachmentList{}
	}
}

// known is the claim of a request, as the cache has it.
func (r *Reconciler) known(ctx context.Context, request types.NamespacedName) (*corev1.PersistentVolumeClaim, error) {
	if name, ok := strings.CutPrefix(request.Name, byName); ok {
		return find(ctx, r.Client, request.Namespace, name, &corev1.PersistentVolumeClaim{})
	}
	return r.cachedClaim(ctx, request.Namespace, types.UID(request.Name))
}

// cachedClaim is one that concerns us, by its UID.
func (r *Reconciler) cachedClaim(
	ctx context.Context,
	namespace string,
	uid types.UID,
) (*corev1.PersistentVolumeClaim, error) {
	var found corev1.PersistentVolumeClaimList
	err := r.List(ctx, &found, client.InNamespace(namespace), client.MatchingFields{indexClaim: string(uid)})
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	if len(found.Items) == 0 {
		return nil, nil //nolint:nilnil // Absence is a state here, not an error.
	}
	return &found.Items[0], nil
}

// find reads an object; an absent one is nil without an error.
func find[T client.Object](ctx context.Context, from client.Reader, namespace, name string, into T) (T, error) {
	var none T
	err := from.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read %T %s: %w", into, name, err)
	}
	return into, nil
}
