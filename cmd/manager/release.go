// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/s3populator/s3populator/transfer/release"
)

// runRelease is the command `manager release`, which comes before the manager is uninstalled.
func runRelease(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	// With what it takes to put finalizers back, within the 30 s that a pod has which is told to end.
	r := release.Release{StartPatience: 15 * time.Second, Every: 2 * time.Second, Out: out}
	f := flag.NewFlagSet("manager release", flag.ContinueOnError)
	f.StringVar(&r.Namespace, "namespace", getenv("POD_NAMESPACE"), "namespace of the manager (default $POD_NAMESPACE)")
	f.StringVar(&r.Deployment, "deployment", "s3populator", "Deployment of the manager, which is scaled to 0")
	f.DurationVar(&r.Patience, "patience", 2*time.Minute,
		"how long claims that are being exported before they go are waited for")
	f.DurationVar(&r.StopPatience, "stop-patience", time.Minute, "how long the manager may take to end")
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("parse flags: %w", err)
	}
	if r.Namespace == "" {
		return errors.New("--namespace is empty: set it, or POD_NAMESPACE by the downward API")
	}
	var err error
	if r.Client, err = newClient(); err != nil {
		return err
	}
	return r.Run(ctx) //nolint:wrapcheck // It says what failed, and what to do.
}
