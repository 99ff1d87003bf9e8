// SPDX-License-Identifier: Apache-2.0

package story

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/rbac"
)

// provenByAdmission are rights that no request shows: the admission plugin
// OwnerReferencesPermissionEnforcement asks for them when we create an object whose owner
// reference blocks the owner's deletion. The node runs that plugin, so without them no
// story would pass.
var provenByAdmission = map[rbac.Resource]bool{
	{Group: "", Name: "persistentvolumeclaims/finalizers"}: true,
	{Group: v1alpha1.Group, Name: "s3sources/finalizers"}:  true,

	{Group: v1alpha1.Group, Name: "s3exportpolicies/finalizers"}: true,
	{Group: v1alpha1.Group, Name: "s3exports/finalizers"}:        true,
	{Group: v1alpha1.Group, Name: "s3imports/finalizers"}:        true,
}

// seldom are rights that a run may not need, because they answer a race or a repetition,
// and when the manager needs them.
var seldom = map[string]bool{
	" pods get":                  true, // a pod has a mover's name already: whose is it?
	" persistentvolumes get":     true, // the cache does not show a volume that a claim names
	"events.k8s.io events patch": true, // an event repeats within minutes
	// The cache does not show the class of a claim, or the driver of that class.
	"storage.k8s.io storageclasses get": true, "storage.k8s.io csidrivers get": true,
}

// End is what a test binary ends with: it asserts what holds for all stories together,
// explains a failure, and removes what Raise made. It takes and returns an exit code.
func (w *World) End(code int, complete bool) int {
	if err := w.Finish(complete && code == 0); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: %v\n", err)
		code = 1
	}
	if code != 0 {
		fmt.Fprintln(os.Stderr, w.Node.Diagnose())
	}
	if err := w.Close(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// Finish asserts what holds for all stories together. Complete tells that every story
// ran, so that every right of the manager must have been used.
func (w *World) Finish(complete bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	errs := []error{w.nothingLeft(ctx), w.judgeLate(ctx), w.ManagerWell(), w.logs.anyKept()}
	found, err := searchLogs(w.logDir(), "", w.hidden.list())
	errs = append(errs, err)
	for _, f := range found {
		if !plantedLog(f) {
			errs = append(errs, errors.New(f))
		}
	}
	if complete && w.audited {
		errs = append(errs, w.everyRightUsed())
	}
	return errors.Join(errs...)
}

// nothingLeft looks at the whole cluster, and at the devices of this machine.
func (w *World) nothingLeft(ctx context.Context) error {
	err := await(ctx, w.Seen.Changed, func() error {
		var spaces corev1.NamespaceList
		if err := w.Client.List(ctx, &spaces, client.MatchingLabels{storyLabel: "true"}); err != nil {
			return err
		}
		if left := names("namespace", spaces.Items, func(n corev1.Namespace) string { return n.Name }); len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return w.oursLeft(ctx)
	})
	if err != nil {
		return fmt.Errorf("after all stories: %w", err)
	}
	return nil
}

func (w *World) oursLeft(ctx context.Context) error {
	ours := client.MatchingLabels{v1alpha1.LabelManagedBy: v1alpha1.ManagedBy}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	var volumes corev1.PersistentVolumeList
	err := errors.Join(w.Client.List(ctx, &pods, ours), w.Client.List(ctx, &claims, ours), w.Client.List(ctx, &volumes))
	if err != nil {
		return err
	}
	left := names("pod", pods.Items, func(p corev1.Pod) string { return p.Namespace + "/" + p.Name })
	left = append(
		left,
		names("claim", claims.Items, func(c corev1.PersistentVolumeClaim) string { return c.Namespace + "/" + c.Name })...)
	left = append(left, names("volume", volumes.Items, func(v corev1.PersistentVolume) string { return v.Name })...)
	devices, err := w.Faults.Devices(ctx)
	if err != nil {
		return fmt.Errorf("ask the CSI driver: %w", err)
	}
	for _, d := range devices {
		left = append(left, "device "+d)
	}
	if len(left) > 0 {
		return fmt.Errorf("still there: %v", left)
	}
	return nil
}

// everyRightUsed compares the manager's role with what it asked of the API server during
// all stories.
func (w *World) everyRightUsed() error {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return err
	}
	rights, err := rbac.Rights(source)
	if err != nil {
		return err
	}
	requests, err := w.Requests()
	if err != nil {
		return err
	}
	type use struct {
		verb string
		rbac.Resource
	}
	used := map[use]bool{}
	var errs []error
	for _, r := range requests {
		used[use{r.Verb, r.Resource}] = true
		if r.Refused {
			errs = append(errs, fmt.Errorf("the manager had no right to %s %v in %q", r.Verb, r.Resource, r.Namespace))
		}
	}
	for _, r := range rights {
		// Watches stream what lists would bring, except from API servers that cannot.
		streamed := r.Verb == "list" && used[use{"watch", r.Resource}]
		if !used[use{r.Verb, r.Resource}] && !streamed && !provenByAdmission[r.Resource] &&
			!seldom[r.Group+" "+r.Name+" "+r.Verb] {
			errs = append(
				errs,
				fmt.Errorf("the manager may %s but never did: take the right away, or tell a story that needs it", r),
			)
		}
	}
	return errors.Join(errs...)
}
