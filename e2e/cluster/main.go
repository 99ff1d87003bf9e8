// SPDX-License-Identifier: Apache-2.0

// Command cluster runs a real Kubernetes node on this machine, without Docker
// and without a registry:
//
//	go run ./e2e/cluster up            start one, print how to use it
//	go run ./e2e/cluster exec -- CMD   run a command inside
//	go run ./e2e/cluster down          end it and remove everything
//	go run ./e2e/cluster tools [NAME]  build the pinned tools, print their paths
//	go run ./e2e/cluster status        show how the logs of its components end
//	go run ./e2e/cluster envtest       print a directory for KUBEBUILDER_ASSETS
//	go run ./e2e/cluster image TARGET  build an image, print its archive
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	err := dispatch(ctx, os.Args[1:])
	stop()
	if code := spoken(0); errors.As(err, &code) {
		os.Exit(int(code))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}
