// SPDX-License-Identifier: Apache-2.0

// Command manager runs the controllers, the webhook and the progress endpoint of S3
// volume populator. `manager check` asks whether an installation works.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manager:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) > 0 && args[0] == "check" {
		return runCheck(ctrl.SetupSignalHandler(), args[1:], os.Getenv, os.Stdout)
	}
	opts, err := parse(args, os.Getenv)
	if err != nil {
		return err
	}
	signalled := ctrl.SetupSignalHandler()
	return run(linger(signalled, opts.ShutdownDelay), opts, signalled.Done())
}

// linger ends a while after the signal to end. Kubernetes sends that signal and takes the
// pod out of its Service at the same time, so that API servers go on calling us for a
// moment; a review that is refused then would refuse a claim.
func linger(signalled context.Context, delay time.Duration) context.Context {
	ctx, cancel := context.WithCancel(context.WithoutCancel(signalled))
	context.AfterFunc(signalled, func() { time.AfterFunc(delay, cancel) })
	return ctx
}
