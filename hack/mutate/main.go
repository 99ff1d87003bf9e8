// SPDX-License-Identifier: Apache-2.0

// Command mutate proves that tests can fail. Each patch of its folder breaks the product in
// one way and names the test that has to notice:
//
//	go run ./hack/mutate [-run regexp] [-e2e]
//
// It works in a copy of the checkout, so that nothing of yours is changed. First the named
// tests run on the unchanged copy, where they have to pass. Then each patch is applied by
// itself, and its tests have to fail. A patch that does not apply or build is an error, and
// so is a named test that does not exist. It ends with a table, and with exit code 1 when a
// mutation survived or could not be judged.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// folder of the patches, from the top of the repository.
const folder = "hack/mutate"

func main() {
	selected := flag.String("run", "", "regular expression of the patches to play; all when empty")
	e2e := flag.Bool("e2e", false, "also play patches that only a story on a real node notices")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *selected, *e2e); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1) //nolint:gocritic // stop was called.
	}
}

func run(ctx context.Context, selected string, e2e bool) error {
	only, err := regexp.Compile(selected)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	all, err := readPatches(folder)
	if err != nil {
		return err
	}
	patches := choose(all, only, e2e)
	if len(patches) == 0 {
		return fmt.Errorf("no patch of %s matches %q", folder, selected)
	}
	copied, err := newScratch(ctx, ".")
	if err != nil {
		return err
	}
	defer copied.remove()
	results := play(ctx, copied, patches)
	table(os.Stdout, results)
	return verdict(results)
}

// choose keeps the patches that match; those that need a node only when stories are played.
func choose(all []patch, only *regexp.Regexp, e2e bool) []patch {
	var chosen []patch
	for _, p := range all {
		if only.MatchString(p.name) && (e2e || !p.needsNode()) {
			chosen = append(chosen, p)
		}
	}
	return chosen
}
