// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
	"github.com/s3populator/s3populator/e2e/story"
)

// admission is what a measurement of package webhook prints.
type admission struct {
	HandlerMicros float64 `json:"handler_us"`
	HandlerBytes  int64   `json:"handler_bytes"`
	P99Millis     float64 `json:"p99_ms"`
	Rate          float64 `json:"rate"`
}

func (a admission) put(f figures) {
	f["handler_us"], f["handler_bytes"], f["p99_ms"], f["rate"] = a.HandlerMicros, float64(
		a.HandlerBytes,
	), a.P99Millis, a.Rate
}

// measureLoad runs the measurement of package webhook, before there is a node that would
// disturb it. Figures beyond what is promised come with an error.
func measureLoad(ctx context.Context, during time.Duration) (a admission, err error) {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return a, err
	}
	cmd := exec.CommandContext(
		ctx,
		"go",
		"test",
		"-v",
		"-vet=off",
		"-ldflags=-w",
		"-count=1",
		"-run=^TestLoad$",
		"./webhook",
		"-load="+during.String(),
	)
	cmd.Dir, cmd.Stderr = source, os.Stderr
	out, failed := cmd.Output()
	if failed != nil {
		failed = fmt.Errorf("measure the handler and the server: %w\n%s", failed, out)
	}
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("{")) {
			err := json.Unmarshal(line, &a)
			return a, errors.Join(failed, err)
		}
	}
	return a, errors.Join(failed, errors.New("the measurement printed no result"))
}

// rotate makes the manager's certificates live for seconds, sees certificates expire on both
// replicas, and in the full form the authority change twice; and counts the claims that are
// created, and refused, meanwhile. The replicas themselves are replaced twice for it.
func (b *bench) rotate(ctx context.Context) (asked int, refused []error, err error) {
	const namespace = "rotation"
	if err := b.namespace(ctx, namespace); err != nil {
		return 0, nil, err
	}
	reviews := b.world.Reviews(ctx, namespace)
	defer func() { asked, refused = reviews.End() }()
	if !b.form.authority { // They rotate since the node is there.
		return 0, nil, b.seeRotation(ctx)
	}
	undo, err := b.world.ManagerArgs(ctx, rotating...)
	if err != nil {
		return 0, nil, err
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: story.SystemNamespace, Name: story.AuthoritySecret}}
	if err := b.world.Client.Delete(ctx, secret); err != nil {
		return 0, nil, fmt.Errorf("ask for a new authority: %w", err)
	}
	if err := b.seeRotation(ctx); err != nil {
		return 0, nil, err
	}
	return 0, nil, undo(ctx)
}

// seeRotation looks at the certificates until enough of them were seen.
func (b *bench) seeRotation(ctx context.Context) error {
	seen := b.world.Rotation()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for missing := errors.New("nothing was seen"); missing != nil; {
		if err := errors.Join(seen.Look(ctx), sleep(ctx, 200*time.Millisecond)); err != nil {
			return fmt.Errorf("look at the certificates: %w; %w", err, missing)
		}
		missing = seen.Complete()
		if !b.form.authority {
			missing = twoLeaves(seen)
		}
	}
	return nil
}

// twoLeaves is an error until two replicas have changed their certificate.
func twoLeaves(seen *story.Rotation) error {
	changed := 0
	for _, leaves := range seen.Leaves {
		if len(leaves) > 1 {
			changed++
		}
	}
	if changed < 2 {
		return fmt.Errorf("%d replicas have changed their certificate", changed)
	}
	return nil
}

func runAdmission(ctx context.Context, out io.Writer, form form) (f figures, err error) {
	fmt.Fprintln(out, "reviews in one process: the handler, then a server over loopback TLS")
	a, err := measureLoad(ctx, form.load)
	if err != nil {
		return nil, err
	}
	f = figures{}
	a.put(f)
	b, err := raise(ctx, out, form, raised, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = b.close(err) }() //nolint:contextcheck // It cleans up after an interrupt too.
	return f, b.reviews(ctx, f)
}

// reviews counts those that are refused while certificates rotate.
func (b *bench) reviews(ctx context.Context, f figures) error {
	fmt.Fprintln(b.out, "reviews on a real node while the certificates of both replicas rotate")
	asked, refused, err := b.rotate(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "  %d claims, %d refused\n", asked, len(refused))
	for _, r := range refused[:min(len(refused), 3)] {
		fmt.Fprintln(b.out, " ", r)
	}
	f["reviews_during_rotation"], f["refused_during_rotation"] = asked, len(refused)
	return nil
}
