// SPDX-License-Identifier: Apache-2.0

// Package story is what an end-to-end story stands on: one real node with this
// project installed, S3 servers, and for each story a namespace, buckets, claims
// and the proof that the bytes are right and nothing is left. It judges by what
// users and other components can see; it never looks into the manager.
package story

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// Options of a World.
type Options struct {
	// Dir is the run directory of a node. One that is up there is used; else a
	// node is started in it. Empty: a new directory.
	Dir string
	// Keep leaves the node up for the next run, or for whoever looks into it.
	Keep bool
	// Skip are components of the node that are left out.
	Skip []string
	// KeepServers leaves the S3 servers up with the node.
	KeepServers bool
	// Measured is for benchmarks: the audit log has the requests of everybody, and what
	// only stories need, such as the movers' logs, is not asked for.
	Measured bool
	// Args are flags of the node's components, by component; they override those of the node.
	Args map[string][]string
	// Install installs this project; nil applies manifests/default.
	Install func(context.Context, *World) error
	Log     io.Writer
}

// World is the node, with everything installed, that all stories share.
type World struct {
	Node *node.Node
	// Client is an administrator's and reads the API server, not a cache.
	Client client.Client
	Kube   kubernetes.Interface
	Faults *fault.Client
	Seen   *Observer

	options Options
	audited bool // the API server writes an audit log
	// auditedBefore is how many bytes of it are of an earlier run on the same node.
	auditedBefore int64

	mu       sync.Mutex
	servers  map[Server]*node.S3Server
	ended    []expectation // stories
	hidden   secretKeys
	managers *managers
	logs     *podLogs
	cancel   context.CancelFunc
}

// Raise starts or finds the node, installs this checkout and waits until it works.
// Whatever it started is removed when it fails.
func Raise(ctx context.Context, options Options) (*World, error) {
	log.SetLogger(logr.Discard()) // What our own clients say is no part of a story.
	w := &World{options: options, servers: map[Server]*node.S3Server{}}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx)) // until Close
	w.cancel = cancel
	if err := w.raise(ctx, watching); err != nil {
		text := ""
		if w.Node != nil {
			text = "\n" + w.Node.Diagnose()
		}
		err = fmt.Errorf("raise the world: %w%s", err, text)
		return nil, errors.Join(err, w.Close(false)) //nolint:contextcheck // It cleans up after an interrupt too.
	}
	return w, nil
}

func (w *World) raise(ctx, watching context.Context) error {
	if err := w.findNode(ctx); err != nil {
		return err
	}
	if err := w.connect(); err != nil {
		return err
	}
	ctxInstall, cancel := context.WithTimeout(ctx, installPatience)
	defer cancel()
	if err := w.install(ctxInstall); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := w.observe(watching); err != nil {
		return fmt.Errorf("watch the cluster: %w", err)
	}
	if err := w.awaitManager(ctxInstall); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := await(ctxInstall, w.Seen.Changed, func() error { return w.ownersKnown(ctxInstall) }); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

func (w *World) connect() error {
	config, err := w.Node.RESTConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	if w.Client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	if w.Kube, err = kubernetes.NewForConfig(config); err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	w.Faults = fault.New(w.Node.ControlSocket())
	return nil
}

// observe starts the watches that stories wait on.
func (w *World) observe(ctx context.Context) error {
	config, err := w.Node.RESTConfig()
	if err != nil {
		return err
	}
	w.Seen, err = newObserver(ctx, config, w.Client.Scheme())
	if err != nil {
		return err
	}
	w.Seen.auditRead = w.auditedBefore
	w.Seen.invariants.audited = w.audited
	w.managers = &managers{}
	logs := &podLogs{
		kube: w.Kube, movers: w.moverLogDir(), managers: w.managerLogDir(),
		started: map[string]bool{}, lost: map[string][]string{},
	}
	w.logs = logs
	if err := errors.Join(os.MkdirAll(logs.movers, 0o755), os.MkdirAll(logs.managers, 0o755)); err != nil {
		return err
	}
	if !w.options.Measured {
		w.Seen.secrets = w.hidden.list
	}
	w.Seen.onPod = func(p podEvent) {
		w.managers.note(p.pod)
		if !w.options.Measured || isManager(p.pod) {
			logs.follow(ctx, p.pod)
		}
	}
	return w.Seen.start(ctx)
}

// Dir is the run directory.
func (w *World) Dir() string { return w.Node.Dir() }

// logDir is where components, movers and the audit log end up.
func (w *World) logDir() string { return filepath.Join(w.Dir(), "logs") }

func (w *World) moverLogDir() string { return filepath.Join(w.logDir(), "movers") }

func (w *World) managerLogDir() string { return filepath.Join(w.logDir(), "managers") }

// Close ends what Raise began. The node goes, unless it is to be kept; after a
// failure its logs stay.
func (w *World) Close(ok bool) error {
	var errs []error
	for _, s := range w.servers {
		if !w.options.KeepServers {
			errs = append(errs, s.Stop())
		}
	}
	w.cancel()
	if w.Node == nil {
		return errors.Join(errs...)
	}
	if w.options.Keep {
		fmt.Fprintf(
			w.options.Log,
			"the node is up: export KUBECONFIG=%s E2E_DIR=%s\nremove it with: go run ./e2e/cluster down --dir %[2]s\n",
			w.Node.Kubeconfig(),
			w.Dir(),
		)
		return errors.Join(errs...)
	}
	if !ok {
		fmt.Fprintf(w.options.Log, "logs are kept in %s\n", w.logDir())
	}
	return errors.Join(append(errs, node.Remove(context.Background(), w.Dir(), !ok))...)
}
