// SPDX-License-Identifier: Apache-2.0

// Package release takes our finalizers off before the manager is uninstalled, so that no claim and no S3Export is
// held by what is not there any more. What would be lost by that is never let go: a claim that is being deleted keeps
// its finalizer until it was exported, and a volume that was taken for that is given back first. The manager does
// both; so it is waited for, and only then stopped, because it would put the finalizers back.
package release

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Release is what an administrator decides of it.
type Release struct {
	// Client reads the API server itself.
	Client client.Client
	// Namespace and Deployment of the manager.
	Namespace, Deployment string
	// Patience is how long exports before a deletion are waited for, StopPatience how long the manager may take to end,
	// StartPatience how long it is tried to start it again.
	Patience, StopPatience, StartPatience time.Duration
	// Every is how often is looked.
	Every time.Duration
	Out   io.Writer
}

// errUnsafe means that something would be lost.
var errUnsafe = errors.New("claims are being exported before they go")

// Run releases everything, or nothing that matters. Where it fails the manager runs again, and holds what it held.
func (r Release) Run(ctx context.Context) (err error) {
	// An earlier try may have been killed while it was stopped, and what is being exported needs it.
	if err := r.start(ctx); err != nil {
		return err
	}
	give := time.Now().Add(r.Patience) //nolint:forbidigo // Only compared.
	var lost []string
	for {
		if err := r.await(ctx, give); err != nil {
			return tellLost(lost, err)
		}
		gone, err := r.stopped(ctx)
		lost = append(lost, gone...)
		if !errors.Is(err, errUnsafe) || errors.Is(err, errOff) {
			return tellLost(lost, err)
		}
		r.say("%v: the manager goes on with them", err) // Deleted since it was looked.
	}
}

// stopped does what is to be done while no manager runs. Where that fails it is undone; lost is what could not be.
func (r Release) stopped(ctx context.Context) (lost []string, err error) {
	off := &released{}
	defer func() {
		if err != nil { // Also where we are told to end.
			// Before the manager is back, which takes longer: whatever is deleted until then goes without its export.
			again, cancel := context.WithTimeout(context.WithoutCancel(ctx), holdPatience)
			defer cancel()
			lost = r.holdAgain(again, off)
			err = errors.Join(err, r.start(context.WithoutCancel(ctx)))
		}
	}()
	if err := r.stop(ctx); err != nil {
		return nil, err
	}
	// What was deleted meanwhile has to be exported first.
	if held, err := r.unsafe(ctx); err != nil || len(held) > 0 {
		return nil, unsafe(held, err)
	}
	if err := r.releaseClaims(ctx, off); err != nil {
		return nil, err
	}
	if err := r.releaseExports(ctx, off); err != nil {
		return nil, err
	}
	return nil, r.undisturbed(ctx)
}

// holdPatience is how long it is tried to put finalizers back.
const holdPatience = 10 * time.Second

func unsafe(held []string, err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", errUnsafe, strings.Join(held, "; "))
}

func (r Release) say(format string, args ...any) { _, _ = fmt.Fprintf(r.Out, format+"\n", args...) }

// await waits until nothing would be lost.
func (r Release) await(ctx context.Context, until time.Time) error {
	told := ""
	for {
		held, err := r.unsafe(ctx)
		if err == nil && len(held) == 0 {
			return nil
		}
		err = unsafe(held, err)
		if err.Error() != told {
			told = err.Error()
			r.say("waiting: %s", told)
		}
		if time.Now().After(until) { //nolint:forbidigo // Only compared.
			return fmt.Errorf("%w. The manager runs on, and holds what it held. Wait for them and uninstall again; "+
				"`kubectl get pvc CLAIM -o yaml` says what an export waits for. To let a claim go without its export: "+
				"kubectl annotate pvc CLAIM %s=%s", err, v1alpha1.AnnotationSkipFinalExport, v1alpha1.SkipFinalExport)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(r.Every):
		}
	}
}

// unsafe are the claims and volumes that would lose something without the manager.
func (r Release) unsafe(ctx context.Context) ([]string, error) {
	var held []string
	err := each(ctx, r.Client, &corev1.PersistentVolumeList{}, func(o client.Object) error {
		if of := o.GetAnnotations()[v1alpha1.AnnotationFinalExport]; of != "" {
			held = append(held, fmt.Sprintf("volume %s was taken from its claim for the export, and is not given back yet (%s)",
				o.GetName(), of))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	err = each(ctx, r.Client, &corev1.PersistentVolumeClaimList{}, func(o client.Object) error {
		if isHeld(o, v1alpha1.FinalizerFinalExport) && o.GetDeletionTimestamp() != nil {
			held = append(held, fmt.Sprintf("claim %s/%s is being deleted", o.GetNamespace(), o.GetName()))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list claims: %w", err)
	}
	return held, nil
}
