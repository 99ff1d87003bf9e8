// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/claims"
	"github.com/s3populator/s3populator/transfer/movers"
	"github.com/s3populator/s3populator/transfer/policy"
	"github.com/s3populator/s3populator/transfer/prune"
)

// addExportRequests adds whatever makes S3Exports for users: policies, and annotations of claims; and
// what removes the objects of older ones.
func addExportRequests(ctx context.Context, mgr ctrl.Manager, o options) error {
	recorder := mgr.GetEventRecorder(v1alpha1.FieldOwner)
	policies := &policy.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: time.Now,
		Uncounted: movers.Uncounted(mgr.GetAPIReader()),
	}
	if err := policies.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	prunes := &prune.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: time.Now,
		Options: prune.Options{Image: image(o), Defaults: o.MoverDefaults},
	}
	if err := prunes.SetupWithManager(mgr); err != nil {
		return err
	}
	annotations := &claims.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: time.Now}
	return annotations.SetupWithManager(ctx, mgr)
}
