// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// exporting is our row in a set that uploads: the mover of an S3Export, whole.
const exporting = "mover, export"

// uploaders in the order in which each round runs them.
var uploaders = []tool{
	{name: exporting, command: export},
	{name: mc, command: mirrorUp},
	{name: s5cmd, command: s5cmdUp},
	{name: rclone, command: rcloneUp()},
	{
		name: tuned,
		command: rcloneUp("--transfers=32", "--checkers=32", "--s3-upload-concurrency=8", "--s3-chunk-size=16M",
			"--fast-list", "--no-traverse", "--s3-disable-checksum", "--s3-no-head", "--s3-no-check-bucket"),
	},
}

// export is the command of the mover pod of an S3Export: it scans, sends every file with a checksum, lists what
// is there in the end, and writes its manifest.
func export(ctx context.Context, j job) (*exec.Cmd, error) {
	r := wire.Request{Operation: wire.Export, Attempt: 1, Export: wire.ExportOptions{Run: "bench-run"}}
	return moverCommand(ctx, j, r, "bench-pod-1")
}

func mirrorUp(ctx context.Context, j job) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, j.binaries["mc"], "--config-dir", filepath.Join(j.scratch, "mc"), "--quiet",
		"mirror", j.target, "bench/"+bucket)
	cmd.Env = j.environment(fmt.Sprintf("MC_HOST_bench=http://%s:%s@%s", accessKey, secretKey, j.server.address))
	return cmd, nil
}

func s5cmdUp(ctx context.Context, j job) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, j.binaries["s5cmd"], "--endpoint-url", j.server.url(), "--log", "error",
		"cp", j.target+"/", "s3://"+bucket+"/")
	cmd.Env = j.environment("AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_REGION="+story.Region)
	return cmd, nil
}

func rcloneUp(flags ...string) func(context.Context, job) (*exec.Cmd, error) {
	return func(ctx context.Context, j job) (*exec.Cmd, error) {
		args := append([]string{"copy", j.target, "bench:" + bucket}, flags...)
		cmd := exec.CommandContext(ctx, j.binaries["rclone"], args...)
		cmd.Env = rcloneEnvironment(j)
		return cmd, nil
	}
}

// sources are files as a claim has them: none of the attributes of a server is on them.
func (b *bench) sources(c content) (dir string, objects []object, err error) {
	all := c.shapes(b.short)
	text, err := json.Marshal(all)
	if err != nil {
		return "", nil, err
	}
	key := sha256.Sum256(fmt.Appendf(text, "files %d", layout))
	root := filepath.Join(b.cache, "bench-data", fmt.Sprintf("files-%s-%s", c.name, hex.EncodeToString(key[:8])))
	dir, manifest := filepath.Join(root, "files"), filepath.Join(root, "manifest.json")
	if objects, err := readObjects(manifest); err == nil {
		return dir, objects, nil
	}
	if err := os.RemoveAll(root); err != nil {
		return "", nil, fmt.Errorf("remove data that is not whole: %w", err)
	}
	objects = make([]object, len(all))
	var group errgroup.Group
	group.SetLimit(4)
	for i, sh := range all {
		group.Go(func() error {
			sum, err := writeShape(filepath.Join(dir, sh.Key), sh)
			objects[i] = object{Key: sh.Key, Size: sh.Size, SHA256: sum}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return "", nil, err
	}
	if text, err = json.Marshal(objects); err != nil {
		return "", nil, err
	}
	return dir, objects, os.WriteFile(manifest, text, 0o644)
}

func writeShape(path string, sh shape) (sum string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, hash), io.LimitReader(stream(sh.Seed), sh.Size))
	return hex.EncodeToString(hash.Sum(nil)), errors.Join(err, f.Close())
}

// measureUploads runs the tools in turn, each against a fresh server.
func (b *bench) measureUploads(ctx context.Context, s set, target string) (*result, error) {
	dir, objects, err := b.sources(s.data)
	if err != nil {
		return nil, fmt.Errorf("make the files of %s: %w", s.name, err)
	}
	fmt.Fprintf(b.out, "%s on %s: %d files in %s\n", s.name, target, len(objects), dir)
	r := &result{Set: s.name, Target: target, Machine: describe(ctx)}
	for _, t := range uploaders {
		r.Rows = append(r.Rows, row{Tool: t.name})
	}
	j := job{binaries: b.binaries, target: dir, objects: objects}
	for round := range b.rounds {
		if err := warm(dir); err != nil {
			return nil, fmt.Errorf("read the files: %w", err)
		}
		for i, t := range uploaders {
			if err := b.upload(ctx, &r.Rows[i], t, place{s.server, target}, j); err != nil {
				return nil, fmt.Errorf("%s, round %d: %w", s.name, round+1, err)
			}
		}
	}
	r.Machine.LoadAfter = load()
	return r, nil
}

// place is where a server is started.
type place struct {
	kind   serverKind
	target string // The kind of that of its files.
}

// emptyServer starts a server with an empty bucket.
func (b *bench) emptyServer(ctx context.Context, kind serverKind, root string) (*server, error) {
	if err := os.Mkdir(root, 0o755); err != nil {
		return nil, err
	}
	s, err := startServer(ctx, kind, b.binaries[string(kind)], root, true)
	if err != nil {
		return nil, err
	}
	client, err := s.client()
	if err == nil {
		err = client.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: story.Region})
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("make the bucket: %w", err)
	}
	return s, nil
}

// upload makes one run of a tool with a fresh server, syncs its files, and compares what arrived.
func (b *bench) upload(ctx context.Context, row *row, t tool, at place, j job) (err error) {
	if j.scratch, err = os.MkdirTemp(memory, "bench-scratch-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(j.scratch)) }()
	home, remove, err := fresh(ctx, b.cache, at.target, j.objects)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	root := filepath.Join(home, "data")
	if j.server, err = b.emptyServer(ctx, at.kind, root); err != nil {
		return err
	}
	defer j.server.stop()
	cmd, err := t.command(ctx, j)
	if err != nil {
		return err
	}
	if err := syncFileSystem(root); err != nil { // What others wrote is not this tool's.
		return err
	}
	u, err := measure(ctx, cmd, root)
	if err != nil {
		return err
	}
	row.Runs = append(row.Runs, u)
	fmt.Fprintf(b.out, "  %-20s %7.2f s %7.2f s of processor %6.0f MB\n", t.name, u.Wall, u.CPU, u.RSS)
	j.server.stop()
	// What an export notes for itself is no file of the claim.
	if err := os.RemoveAll(filepath.Join(root, bucket, wire.JournalDir)); err != nil {
		return err
	}
	if err := compare(filepath.Join(root, bucket), j.objects); err != nil {
		return fmt.Errorf("%s sent other bytes: %w", t.name, err)
	}
	return nil
}
