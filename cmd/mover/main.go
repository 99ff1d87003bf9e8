// SPDX-License-Identifier: Apache-2.0

// Command mover is the process of a mover pod: it runs one request, given as
// its arguments, and leaves a report as the pod's termination message.
package main

import (
	"os"
)

func main() {
	os.Exit(run(os.Args[1:], os.Getenv, os.Stderr))
}
