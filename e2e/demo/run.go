// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/story"
)

// keptDir is where a demonstration that is kept stays, so that the next one can remove it.
var keptDir = filepath.Join(os.TempDir(), "s3populator-demo")

// demo is one run.
type demo struct {
	out   io.Writer
	world *story.World
	keep  bool
	began time.Time
}

// run shows each step before it takes it.
func run(ctx context.Context, keep bool, out io.Writer) (err error) {
	d := &demo{out: out, keep: keep, began: time.Now()}
	dir := ""
	if keep {
		dir = keptDir
		if err := d.removeKept(ctx); err != nil {
			return err
		}
	}
	d.step("a real Kubernetes node: what is missing is built or installed first, later runs reuse it")
	if d.world, err = story.Raise(ctx,
		story.Options{Dir: dir, Skip: story.Unused, Keep: keep, KeepServers: keep, Log: out}); err != nil {
		return err
	}
	//nolint:contextcheck // It cleans up after an interrupt too.
	defer func() { err = errors.Join(err, d.end(err == nil)) }()
	return d.show(ctx)
}

// removeKept makes room: what an earlier run left up has another bucket and other keys.
func (d *demo) removeKept(ctx context.Context) error {
	if _, err := os.Stat(keptDir); os.IsNotExist(err) {
		return nil
	}
	d.step("the cluster that an earlier run left in " + keptDir + " is removed")
	if err := node.Remove(ctx, keptDir, false); err != nil {
		return fmt.Errorf("remove it, or delete %s yourself: %w", keptDir, err)
	}
	return nil
}

func (d *demo) show(ctx context.Context) error {
	d.step("an S3 server (VersityGW) with a bucket of mixed objects")
	data, err := d.fillBucket(ctx)
	if err != nil {
		return fmt.Errorf("fill the bucket: %w", err)
	}
	d.step("a Secret, an S3Source, and a claim whose dataSourceRef names it")
	if err := d.apply(ctx, data); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	claimed := time.Now()
	claim, err := d.awaitBound(ctx)
	if err != nil {
		return errors.Join(err, d.timeline(ctx))
	}
	took := time.Since(claimed)
	d.step("a pod that reads the volume, file by file")
	if err := d.verify(ctx, claim, data); err != nil {
		return errors.Join(err, d.timeline(ctx))
	}
	if err := d.timeline(ctx); err != nil {
		return err
	}
	d.step("a pod adds a file and stays; an S3Export sends the volume to another prefix")
	exported, err := d.exportBack(ctx, data)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if d.keep {
		d.tellHowToUse()
	} else if err := d.remove(ctx, claim); err != nil {
		return fmt.Errorf("remove the claim: %w", err)
	}
	fmt.Fprintf(
		d.out,
		"demo: %d objects, %d bytes, verified, bound in %.1f s; exported %d objects, %d bytes, verified\n",
		len(data.objects), data.bytes, took.Seconds(), exported.Status.Objects, exported.Status.Bytes,
	)
	return nil
}

func (d *demo) end(ok bool) error {
	if !ok && !d.keep {
		fmt.Fprintln(d.out, d.world.Node.Diagnose())
	}
	return d.world.Close(ok)
}

// step tells what comes, with the time since the start.
func (d *demo) step(what string) {
	fmt.Fprintf(d.out, "%6.1fs  %s\n", time.Since(d.began).Seconds(), what)
}

func (d *demo) tellHowToUse() {
	fmt.Fprintf(d.out, `
The cluster is up. To look around:
  export KUBECONFIG=%[1]s
  kubectl -n %[2]s get s3sources,s3imports,s3exports,pvc
  kubectl -n %[2]s describe pvc %[3]s
  kubectl -n %[2]s apply -f %[4]s
Remove it with: go run ./e2e/cluster down --dir %[5]s

`, d.world.Node.Kubeconfig(), namespace, claimName, d.secondClaim(), d.world.Dir())
}

// secondClaim is a file with another claim from the same source, for people to apply.
func (d *demo) secondClaim() string {
	path := filepath.Join(d.world.Dir(), "second-claim.yaml")
	if err := os.WriteFile(path, []byte(secondClaim), 0o644); err != nil { // Meant to be read.
		return "(" + err.Error() + ")"
	}
	return path
}
