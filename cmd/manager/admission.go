// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	storagev1 "k8s.io/api/storage/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/certs"
	"github.com/s3populator/s3populator/populator/claimsources"
	"github.com/s3populator/s3populator/webhook"
)

// addAdmission serves reviews on every replica, and makes the sources that reviewed claims
// describe on the leader.
func addAdmission(ctx context.Context, mgr ctrl.Manager, o options, _ *certs.Authority) error {
	if !o.Admission {
		return nil
	}
	// A review must not be the first to want these: it would wait for a list of them all.
	for _, kind := range []client.Object{&v1alpha1.S3Source{}, &storagev1.StorageClass{}, &storagev1.CSIDriver{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %T for admission: %w", kind, err)
		}
	}
	warm := &warmth{cache: mgr.GetCache()}
	if err := mgr.Add(warm); err != nil {
		return fmt.Errorf("add admission: %w", err)
	}
	if err := mgr.AddReadyzCheck("admission", warm.ready); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	webhook.Register(mgr.GetWebhookServer(), mgr.GetClient(), mgr.GetAPIReader(), mgr.GetScheme())
	r := &claimsources.Reconciler{Client: mgr.GetClient(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner)}
	return r.SetupWithManager(mgr)
}

// warmth keeps a replica from being asked before it knows the objects that it answers from.
type warmth struct {
	cache  cache.Cache
	synced atomic.Bool
}

// NeedLeaderElection is false: every replica answers reviews.
func (*warmth) NeedLeaderElection() bool { return false }

// Start waits for the caches.
func (w *warmth) Start(ctx context.Context) error {
	w.synced.Store(w.cache.WaitForCacheSync(ctx))
	return nil
}

func (w *warmth) ready(*http.Request) error {
	if !w.synced.Load() {
		return errors.New("the caches are not filled yet")
	}
	return nil
}
