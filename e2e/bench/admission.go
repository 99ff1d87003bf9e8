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

// admission is what reviews cost, and how many were refused while certificates rotated.
type admission struct {
	HandlerMicros float64 `json:"handler_us"`
	HandlerBytes  int64   `json:"handler_bytes"`
	P99Millis     float64 `json:"p99_ms"`
	Rate          float64 `json:"rate"`
	Refused       int     `json:"refused_during_rotation"`
}

// measureLoad runs the measurement of package webhook, before there is a node that would
// disturb it.
func measureLoad(ctx context.Context) (a admission, err error) {
	source, err := toolchain.SourceRoot()
	if err != nil {
		return a, err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-vet=off", "-ldflags=-w", "-count=1", "-run=^TestLoad$", "./webhook", "-load=10s")
	cmd.Dir, cmd.Stderr = source, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("measure the handler and the server: %w\n%s", err, out)
	}
	for line := range bytes.Lines(out) {
		if bytes.HasPrefix(line, []byte("{")) {
			err := json.Unmarshal(line, &a)
			return a, err
		}
	}
	return a, errors.New("the measurement printed no result")
}

// rotate makes the manager's certificates live for seconds, sees the authority change
// twice and certificates expire on both replicas, and counts the claims that are created,
// and refused, meanwhile. The replicas themselves are replaced twice for it.
func (b *bench) rotate(ctx context.Context) (asked int, refused []error, err error) {
	const namespace = "rotation"
	if err := b.namespace(ctx, namespace); err != nil {
		return 0, nil, err
	}
	reviews := b.world.Reviews(ctx, namespace)
	defer func() { asked, refused = reviews.End() }()
	undo, err := b.world.ManagerArgs(ctx, "--ca-duration=45s", "--leaf-duration=9s")
	if err != nil {
		return 0, nil, err
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: story.SystemNamespace, Name: story.AuthoritySecret}}
	if err := b.world.Client.Delete(ctx, secret); err != nil {
		return 0, nil, fmt.Errorf("ask for a new authority: %w", err)
	}
	seen := b.world.Rotation()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for seen.Complete() != nil {
		if err := errors.Join(seen.Look(ctx), sleep(ctx, 200*time.Millisecond)); err != nil {
			return 0, nil, err
		}
	}
	return 0, nil, undo(ctx)
}

func runAdmission(ctx context.Context, out io.Writer) (err error) {
	fmt.Fprintln(out, "reviews in one process: the handler, then a server over loopback TLS")
	result, err := measureLoad(ctx)
	if err != nil {
		return err
	}
	world, err := story.Raise(ctx, story.Options{Skip: story.Unused, Measured: true, Log: os.Stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, world.Close(err == nil)) }() //nolint:contextcheck // It cleans up after an interrupt too.
	fmt.Fprintln(out, "reviews on a real node while the certificates of both replicas rotate")
	asked, refused, err := (&bench{world: world, out: out, scale: 1}).rotate(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "  %d claims, %d refused\n", asked, len(refused))
	for _, r := range refused[:min(len(refused), 3)] {
		fmt.Fprintln(out, " ", r)
	}
	result.Refused = len(refused)
	return json.NewEncoder(out).Encode(result)
}
