// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// tool is one row of a table.
type tool struct {
	name string
	// engine of our mover; empty for everything else.
	engine string
	// command copies the whole bucket of a job to its target.
	command func(context.Context, job) (*exec.Cmd, error)
	// discards means that nothing arrives at the target.
	discards bool
	// reference is no peer: it reads without a target, or knows the server's files.
	reference bool
}

// Names of rows that figures are made of.
const (
	native  = "mover, Native"
	withMC  = "mover, MC"
	mc      = "mc mirror"
	s5cmd   = "s5cmd cp"
	rclone  = "rclone copy"
	tuned   = "rclone copy, tuned"
	limit   = "limit"
	ddFiles = "dd"
)

// tools in the order in which each round runs them. An engine that the mover does not know
// is reported as absent.
var tools = []tool{
	{name: native, engine: "Native", command: mover("Native")},
	{name: withMC, engine: wire.EngineMC, command: mover(wire.EngineMC)},
	{name: mc, command: mirror},
	{name: s5cmd, command: s5cmdCopy},
	{name: rclone, command: rcloneCopy()},
	{
		name: tuned,
		command: rcloneCopy("--transfers=32", "--checkers=32", "--multi-thread-streams=8", "--multi-thread-cutoff=64M",
			"--fast-list", "--no-traverse", "--ignore-checksum"),
	},
	{name: limit, command: limitLoop, discards: true, reference: true},
	{name: ddFiles, command: dd, reference: true},
}

// job is one run of one tool.
type job struct {
	binaries map[string]string // Programs by name; "mover" is ours.
	server   *server
	manifest string // The file with the objects.
	scratch  string // Empty, in memory, for configuration and reports.
	target   string // Empty; the files themselves where they are uploaded.
	objects  []object
}

func (j job) report() string { return filepath.Join(j.scratch, "report") }

// environment has no configuration of whoever runs the bench.
func (j job) environment(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.scratch}, more...)
}

func mover(engine string) func(context.Context, job) (*exec.Cmd, error) {
	return func(ctx context.Context, j job) (*exec.Cmd, error) {
		return moverCommand(ctx, j, wire.Request{Attempt: 1, Transfer: wire.Transfer{Engine: engine}}, "bench-pod-1")
	}
}

// moverCommand is the command of a mover pod: it lists, moves, verifies, keeps its journal
// and syncs.
func moverCommand(ctx context.Context, j job, r wire.Request, pod string) (*exec.Cmd, error) {
	secrets, run := filepath.Join(j.scratch, "secret"), filepath.Join(j.scratch, "run")
	err := errors.Join(
		os.MkdirAll(secrets, 0o700), os.MkdirAll(run, 0o700),
		os.WriteFile(filepath.Join(secrets, "access_key"), []byte(accessKey), 0o600),
		os.WriteFile(filepath.Join(secrets, "secret_key"), []byte(secretKey), 0o600),
	)
	if err != nil {
		return nil, fmt.Errorf("prepare the mover: %w", err)
	}
	if r.Operation == "" {
		r.Operation = wire.Populate
	}
	r.Source = wire.Source{Endpoint: j.server.url(), Bucket: bucket, Region: story.Region, Addressing: "Path"}
	r.Volume.Mode, r.Volume.ClaimUID = wire.Filesystem, "bench-claim"
	r.Credentials = wire.Credentials{Kind: wire.SecretFiles, Name: "bench"}
	args, err := r.EncodeArgs()
	if err != nil {
		return nil, fmt.Errorf("prepare the mover: %w", err)
	}
	cmd := exec.CommandContext(ctx, j.binaries["mover"], append([]string{
		"--termination-log", j.report(), "--mc", j.binaries["mc"], "--volume", j.target,
		"--scratch", run, "--credentials", secrets,
	}, args...)...)
	cmd.Env = j.environment(wire.PodUIDVariable + "=" + pod)
	return cmd, nil
}

// absent says why a mover that failed has no such engine; empty when that is not why.
func absent(j job) string {
	text, err := os.ReadFile(j.report())
	if err != nil {
		return ""
	}
	r, err := wire.ParseReport(string(text))
	if err != nil || r.Reason != wire.MoverBroken || !strings.Contains(r.Message, "transfer.engine") {
		return ""
	}
	return r.Message
}

func mirror(ctx context.Context, j job) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, j.binaries["mc"], "--config-dir", filepath.Join(j.scratch, "mc"), "--quiet",
		"mirror", "bench/"+bucket, j.target)
	cmd.Env = j.environment(fmt.Sprintf("MC_HOST_bench=http://%s:%s@%s", accessKey, secretKey, j.server.address))
	return cmd, nil
}

func s5cmdCopy(ctx context.Context, j job) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, j.binaries["s5cmd"], "--endpoint-url", j.server.url(), "--log", "error",
		"cp", "s3://"+bucket+"/*", j.target+"/")
	cmd.Env = j.environment("AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_REGION="+story.Region)
	return cmd, nil
}

func rcloneCopy(flags ...string) func(context.Context, job) (*exec.Cmd, error) {
	return func(ctx context.Context, j job) (*exec.Cmd, error) {
		args := append([]string{"copy", "bench:" + bucket, j.target}, flags...)
		cmd := exec.CommandContext(ctx, j.binaries["rclone"], args...)
		cmd.Env = rcloneEnvironment(j)
		return cmd, nil
	}
}

func rcloneEnvironment(j job) []string {
	return j.environment(
		"RCLONE_CONFIG=/notfound", // It has none: what it needs is here.
		"RCLONE_CONFIG_BENCH_TYPE=s3", "RCLONE_CONFIG_BENCH_PROVIDER=Other",
		"RCLONE_CONFIG_BENCH_ACCESS_KEY_ID="+accessKey, "RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY="+secretKey,
		"RCLONE_CONFIG_BENCH_ENDPOINT="+j.server.url(), "RCLONE_CONFIG_BENCH_REGION="+story.Region,
		"RCLONE_CONFIG_BENCH_FORCE_PATH_STYLE=true",
	)
}

// limitLoop is this program: see limit.go.
func limitLoop(ctx context.Context, j job) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return exec.CommandContext(ctx, self, limit, j.server.address, j.manifest, strconv.Itoa(limitConnections)), nil
}

// dd copies the files that VersityGW serves.
func dd(ctx context.Context, j job) (*exec.Cmd, error) {
	const script = `set -e; from=$1; to=$2; shift 2
for key; do mkdir -p "$to/${key%/*}"; dd if="$from/$key" of="$to/$key" bs=4M status=none; done`
	args := []string{"-c", script, "dd", filepath.Join(j.server.root, bucket), j.target}
	for _, o := range j.objects {
		args = append(args, o.Key)
	}
	return exec.CommandContext(ctx, "sh", args...), nil
}

// readObjects reads a manifest.
func readObjects(path string) (objects []object, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(text, &objects)
	return objects, err
}
