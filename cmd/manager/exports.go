// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/transfer/claims"
	"github.com/s3populator/s3populator/transfer/policy"
)

// addExportRequests adds whatever makes S3Exports for users: policies, and annotations of claims.
func addExportRequests(ctx context.Context, mgr ctrl.Manager) error {
	recorder := mgr.GetEventRecorder(v1alpha1.FieldOwner)
	policies := &policy.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: time.Now}
	if err := policies.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	annotations := &claims.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: recorder, Now: time.Now}
	return annotations.SetupWithManager(ctx, mgr)
}
