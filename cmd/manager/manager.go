// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	admissionserver "sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/certs"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
	"github.com/s3populator/s3populator/populator"
	"github.com/s3populator/s3populator/populator/claimsources"
	"github.com/s3populator/s3populator/populator/inventory"
	"github.com/s3populator/s3populator/populator/places"
	"github.com/s3populator/s3populator/populator/progress"
	"github.com/s3populator/s3populator/populator/queue"
	"github.com/s3populator/s3populator/transfer/export"
	"github.com/s3populator/s3populator/transfer/final"
	"github.com/s3populator/s3populator/transfer/imports"
)

// leaderElectionID is the Lease of the leader.
const leaderElectionID = "s3populator"

// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=s3populator-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=s3populator-system,resources=events,verbs=create

// run builds the manager from one visible list and runs it until ctx ends.
func run(ctx context.Context, o options, f *drain) error {
	ctrl.SetLogger(logger(o, os.Stderr))
	mgr, authority, err := newManager(&o, f)
	if err != nil {
		return err
	}
	for _, add := range []func() error{
		func() error { return addCertificates(mgr, authority) },
		func() error { return addMovers(ctx, mgr, o, authority) },
		func() error { return addExportRequests(ctx, mgr, o) },
		func() error { return addFinalExports(ctx, mgr) },
		func() error { return addAdmission(ctx, mgr, o) },
		func() error { return addProgress(mgr, o) },
		func() error { return addProbes(mgr, authority) },
	} {
		if err := add(); err != nil {
			return err
		}
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

func newManager(o *options, f *drain) (ctrl.Manager, *certs.Authority, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, nil, fmt.Errorf("build scheme: %w", err)
		}
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("find the API server: %w", err)
	}
	config.QPS = -1 // The API server's own fairness is the limit; ours would delay rebinds.
	config.UserAgent = "s3populator"
	if err := o.completeMover(config); err != nil {
		return nil, nil, err
	}
	authority, err := certs.New(certs.Options{
		Namespace: o.Namespace, SecretName: o.Certificates.SecretName, ServiceName: o.ServiceName,
		WebhookConfiguration: o.Certificates.WebhookConfiguration,
		CADuration:           o.Certificates.CADuration, LeafDuration: o.Certificates.LeafDuration,
		Files: files(o.Certificates.Directory), RESTConfig: config, Now: time.Now,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("set up certificates: %w", err)
	}
	mgr, err := ctrl.NewManager(config, managerOptions(o, scheme, server{
		drain: f, limits: newLimits(), Server: admissionserver.NewServer(admissionserver.Options{
			Port:    o.ServingPort,
			TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.GetCertificate = authority.GetCertificate }},
		}),
	}))
	if err != nil {
		return nil, nil, fmt.Errorf("build manager: %w", err)
	}
	return mgr, authority, nil
}

// managerOptions is pure.
func managerOptions(o *options, scheme *runtime.Scheme, serving server) manager.Options {
	return manager.Options{
		Scheme: scheme, Cache: cacheOptions(),
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddress},
		HealthProbeBindAddress:        o.ProbeAddress,
		PprofBindAddress:              o.PprofAddress,
		LeaderElection:                o.LeaderElection,
		LeaderElectionID:              leaderElectionID,
		LeaderElectionNamespace:       o.Namespace,
		LeaderElectionReleaseOnCancel: true,
		WebhookServer:                 serving,
	}
}

func files(directory string) certs.Files {
	if directory == "" {
		return certs.Files{}
	}
	return certs.Files{
		CertFile: filepath.Join(directory, corev1.TLSCertKey),
		KeyFile:  filepath.Join(directory, corev1.TLSPrivateKeyKey),
		CAFile:   filepath.Join(directory, "ca.crt"),
	}
}

func addCertificates(mgr ctrl.Manager, authority *certs.Authority) error {
	return mgr.Add(authority) //nolint:wrapcheck // It only fails when the manager was stopped.
}

// addMovers adds whatever starts movers; all of them ask one queue.
func addMovers(ctx context.Context, mgr ctrl.Manager, o options, authority *certs.Authority) error {
	office := places.Office{Queue: queue.New(o.MaxMovers, time.Now), Cache: mgr.GetClient(), Now: time.Now}
	if err := metrics.Registry.Register(office); err != nil {
		return fmt.Errorf("register metrics of the queue: %w", err)
	}
	if err := addPopulation(ctx, mgr, o, authority, office); err != nil {
		return err
	}
	if err := addExport(ctx, mgr, o, authority, office); err != nil {
		return err
	}
	if err := addImport(ctx, mgr, o, authority, office); err != nil {
		return err
	}
	return addInventory(mgr, o, office)
}

func addImport(
	ctx context.Context,
	mgr ctrl.Manager,
	o options,
	authority *certs.Authority,
	office places.Office,
) error {
	r := &imports.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner), Places: office,
		Options: imports.Options{
			Image: image(o), Defaults: o.MoverDefaults, ProgressURL: progressURL(o), ProgressCA: authority.CABundle,
			Workers: o.Workers, Now: time.Now,
		},
	}
	return r.SetupWithManager(ctx, mgr)
}

func addExport(
	ctx context.Context,
	mgr ctrl.Manager,
	o options,
	authority *certs.Authority,
	office places.Office,
) error {
	r := &export.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner), Places: office,
		Options: export.Options{
			Image: image(o), Defaults: o.MoverDefaults, ProgressURL: progressURL(o), ProgressCA: authority.CABundle,
			Workers: o.Workers, Now: time.Now,
		},
		Started: time.Now(),
	}
	if err := mgr.Add(export.Sweeper{Reconciler: r}); err != nil {
		return fmt.Errorf("add sweeper of exports: %w", err)
	}
	return r.SetupWithManager(ctx, mgr)
}

func addPopulation(
	ctx context.Context,
	mgr ctrl.Manager,
	o options,
	authority *certs.Authority,
	office places.Office,
) error {
	r := &populator.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner), Places: office,
		Options: populator.Options{
			Image: image(o), Defaults: o.MoverDefaults, ProgressURL: progressURL(o), ProgressCA: authority.CABundle,
			CopiedAnnotations: o.CopiedAnnotations, Workers: o.Workers, Now: time.Now,
		},
	}
	if err := r.SetupWithManager(ctx, mgr); err != nil {
		return err
	}
	volumes := &populator.VolumeReconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: r.Events}
	if err := volumes.SetupWithManager(mgr); err != nil {
		return err
	}
	unfilled := &claimsources.Unfilled{
		Client: mgr.GetClient(),
		Events: mgr.GetEventRecorder(v1alpha1.FieldOwner),
		Now:    time.Now,
	}
	if err := unfilled.SetupWithManager(mgr); err != nil {
		return err
	}
	if err := mgr.Add(populator.Sweeper{Reconciler: r}); err != nil {
		return fmt.Errorf("add sweeper: %w", err)
	}
	if err := mgr.Add(populator.Registration{Client: mgr.GetClient()}); err != nil {
		return fmt.Errorf("add registration: %w", err)
	}
	return nil
}

func addInventory(mgr ctrl.Manager, o options, office places.Office) error {
	r := &inventory.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner),
		Image: image(o), Defaults: o.MoverDefaults, Now: time.Now, Workers: o.Workers, Places: office,
	}
	return r.SetupWithManager(mgr)
}

// addFinalExports adds what exports a claim that is being deleted before it goes.
func addFinalExports(ctx context.Context, mgr ctrl.Manager) error {
	r := &final.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(v1alpha1.FieldOwner), Now: time.Now,
	}
	return r.SetupWithManager(ctx, mgr)
}

// addProgress serves on every replica: a Service does not know the leader.
func addProgress(mgr ctrl.Manager, o options) error {
	if !o.Progress {
		return nil
	}
	mgr.GetWebhookServer().Register(wire.ProgressPath, &progress.Handler{
		Client: mgr.GetClient(), Reviewer: progress.NewReviewer(mgr.GetClient(), time.Now), Now: time.Now,
	})
	return nil
}

func addProbes(mgr ctrl.Manager, authority *certs.Authority) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("add health check: %w", err)
	}
	ready := func(*http.Request) error { return authority.Ready() }
	if err := mgr.AddReadyzCheck("certificate", ready); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	if err := mgr.AddReadyzCheck("serving", mgr.GetWebhookServer().StartedChecker()); err != nil {
		return fmt.Errorf("add readiness check: %w", err)
	}
	return nil
}

func image(o options) moverpod.Image {
	return moverpod.Image{Name: o.MoverImage, PullPolicy: o.MoverPullPolicy}
}

func progressURL(o options) string {
	if !o.Progress {
		return ""
	}
	return fmt.Sprintf("https://%s.%s.svc", o.ServiceName, o.Namespace)
}

// logger writes JSON lines; --verbose shows decisions (V(1)) too.
func logger(o options, to io.Writer) logr.Logger {
	level := slog.LevelInfo
	if o.Verbose {
		level = slog.LevelDebug
	}
	return logr.FromSlogHandler(slog.NewJSONHandler(to, &slog.HandlerOptions{Level: level}))
}
