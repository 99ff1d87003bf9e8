// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// installation is what `manager check` asks from outside, as a user would: nothing of it is
// known to be ready yet.
type installation struct {
	client    client.Client
	namespace string // Where to try; nothing is left in it.
	admission bool
	every     time.Duration
}

// runCheck is the command `manager check`, which `helm test` runs: it ends with an error
// when the installation does not work within a minute.
func runCheck(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	i := installation{every: 2 * time.Second}
	f := flag.NewFlagSet("manager check", flag.ContinueOnError)
	f.StringVar(
		&i.namespace,
		"namespace",
		getenv("POD_NAMESPACE"),
		"namespace to try a claim in, in a dry run (default $POD_NAMESPACE)",
	)
	f.BoolVar(&i.admission, "admission", true, "expect that claims are reviewed")
	patience := f.Duration("timeout", time.Minute, "how long to try")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("parse flags: %w", err)
	}
	if i.namespace == "" {
		return errors.New("--namespace is empty: set it, or POD_NAMESPACE by the downward API")
	}
	var err error
	if i.client, err = newClient(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, *patience)
	defer cancel()
	return i.check(ctx, out)
}

// newClient reads the API server itself.
func newClient() (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	config, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	config.QPS = -1 // As the manager: the API server's own fairness is the limit.
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return c, nil
}

// check tries until everything works, and returns what does not when the context ends.
func (i *installation) check(ctx context.Context, out io.Writer) error {
	for {
		err := i.try(ctx)
		if err == nil {
			_, _ = fmt.Fprintln(out, "S3 volume populator works here.")
			return nil
		}
		_, _ = fmt.Fprintln(out, "not yet:", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(i.every):
		}
	}
}

// try reads our kinds and, where claims are reviewed, creates one in a dry run: that takes
// the webhook's configuration, its certificate, its Service and a manager that answers.
func (i *installation) try(ctx context.Context) error {
	if err := i.client.List(ctx, &v1alpha1.S3SourceList{}, client.InNamespace(i.namespace), client.Limit(1)); err != nil {
		return fmt.Errorf("list S3Sources (are the CRDs installed?): %w", err)
	}
	if !i.admission {
		return nil
	}
	const source = "s3populator-check"
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: source + "-",
			Namespace:    i.namespace,
			Annotations:  map[string]string{v1alpha1.AnnotationSource: source},
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			StorageClassName: new(source), // There is none: the default class may be one that cannot be populated.
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")},
			},
		},
	}
	if err := i.client.Create(ctx, claim, client.DryRunAll); err != nil {
		return fmt.Errorf("create an annotated claim in a dry run: %w", err)
	}
	if ref := claim.Spec.DataSourceRef; ref == nil || ref.Kind != v1alpha1.KindS3Source || ref.Name != source {
		return fmt.Errorf(
			"an annotated claim came through with dataSourceRef %v: no webhook has reviewed it (is the "+
				"MutatingWebhookConfiguration there?)",
			ref,
		)
	}
	return nil
}
