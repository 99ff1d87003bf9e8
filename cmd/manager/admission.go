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
	"github.com/s3populator/s3populator/populator/claimsources"
	"github.com/s3populator/s3populator/webhook"
)

// addAdmission serves reviews on every replica, and makes the sources that reviewed claims
// describe on the leader.
func addAdmission(ctx context.Context, mgr ctrl.Manager, o options) error {
	if !o.Admission {
		return nil
	}
	// Informers start with the first read of a kind; without this, the first review would wait for
	// a list of all its objects.
	for _, kind := range []client.Object{&v1alpha1.S3Source{}, &storagev1.StorageClass{}, &storagev1.CSIDriver{}} {
		if _, err := mgr.GetCache().GetInformer(ctx, kind, cache.BlockUntilSynced(false)); err != nil {
			return fmt.Errorf("watch %T for admission: %w", kind, err)
		}
	}
	synced := &cacheSync{cache: mgr.GetCache()}
	if err := mgr.Add(synced); err != nil {
		return fmt.Errorf("add admission: %w", err)
	}
	if err := mgr.AddReadyzCheck("admission", synced.ready); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	webhook.Register(mgr.GetWebhookServer(), mgr.GetClient(), mgr.GetAPIReader(), mgr.GetScheme())
	r := &claimsources.Reconciler{Client: mgr.GetClient(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner)}
	return r.SetupWithManager(mgr)
}

// cacheSync makes a replica ready when its caches hold the objects that reviews depend on.
type cacheSync struct {
	cache  cache.Cache
	synced atomic.Bool
}

// NeedLeaderElection is false: every replica answers reviews.
func (*cacheSync) NeedLeaderElection() bool { return false }

// Start waits for the caches.
func (c *cacheSync) Start(ctx context.Context) error {
	c.synced.Store(c.cache.WaitForCacheSync(ctx))
	return nil
}

func (c *cacheSync) ready(*http.Request) error {
	if !c.synced.Load() {
		return errors.New("the caches are not filled yet")
	}
	return nil
}
