// SPDX-License-Identifier: Apache-2.0

// Command manager runs the controllers, the webhook and the progress endpoint of S3
// volume populator. `manager check` asks whether an installation works, `manager release` lets claims go before it
// is uninstalled.
package main

import (
	"fmt"
	"os"

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
	if len(args) > 0 && args[0] == "release" {
		return runRelease(ctrl.SetupSignalHandler(), args[1:], os.Getenv, os.Stdout)
	}
	opts, err := parse(args, os.Getenv)
	if err != nil {
		return err
	}
	f := &drain{signalled: ctrl.SetupSignalHandler(), quiet: opts.ShutdownDelay, longest: opts.ShutdownLimit}
	return run(f.context(), opts, f)
}
