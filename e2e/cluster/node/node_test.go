// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package node_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// up starts a node that ends with the test, and shows its logs if the test
// fails.
func up(t *testing.T) *node.Node {
	t.Helper()
	started := time.Now()
	n, err := node.Up(t.Context(), node.Options{Attached: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("node up in %s", time.Since(started).Round(10*time.Millisecond))
	t.Cleanup(func() {
		if _, err := os.Stat(n.Dir()); err != nil {
			return // taken down by the test itself
		}
		if t.Failed() {
			t.Log(n.Diagnose())
		}
		if err := n.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return n
}

func TestNodeRunsPodsAndLeavesNothing(t *testing.T) {
	before := observe(t)
	c := connected(t, up(t))
	tr := tracesOf(t, c.Dir())
	t.Run("a volume keeps its bytes from pod to pod", func(t *testing.T) { testVolume(t, c) })
	t.Run("names of Services are found", func(t *testing.T) { testNames(t, c) })
	for _, kind := range []node.S3Kind{node.VersityGW, node.MinIO} {
		for _, tls := range []*node.TLSOptions{nil, {}} {
			name := string(kind) + " over HTTP"
			if tls != nil {
				name = string(kind) + " over TLS"
			}
			t.Run(name, func(t *testing.T) { testS3(t, c, node.S3Options{Kind: kind, TLS: tls}) })
		}
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	assertGone(t, before, tr)
}

func testVolume(t *testing.T, c cluster) {
	c.claim(t, "data")
	c.probe(t, "data", "write", "/data/a/file", "1000")
	got := c.probe(t, "data", "sha256", "/data")
	// sha256 of the probe's pattern: lines of 15 hexadecimal digits that tell their own offset.
	want := []string{`"path":"a","size":0,"mode":"d`, `"path":"a/file","size":1000,"sha256":"` + patternSum(1000) + `"`}
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("listing lacks %s:\n%s", w, got)
		}
	}
	if strings.Contains(got, "lost+found") {
		t.Errorf("listing shows lost+found:\n%s", got)
	}
}

func testNames(t *testing.T, c cluster) {
	if got := c.probe(t, "", "lookup",
		"kubernetes.default.svc.cluster.local"); strings.TrimSpace(got) != rundir.ServiceAddress {
		t.Errorf("the API server's Service has address %q, want %s", got, rundir.ServiceAddress)
	}
	c.probe(t, "", "tcp", "kubernetes.default:443")
	conn, err := c.Dial(t.Context(), "tcp", "kubernetes.default.svc.cluster.local:443")
	if err != nil {
		t.Fatalf("a Service is not reached from outside: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	out, err := c.Command(t.Context(), "kubectl", "get", "--raw", "/readyz").CombinedOutput()
	if err != nil || string(out) != "ok" {
		t.Errorf("kubectl inside says %q (%v)", out, err)
	}
}

// testS3 writes an object from outside of the node and reads it in a pod.
func testS3(t *testing.T, c cluster, options node.S3Options) {
	s, err := c.StartS3(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	scheme, host, _ := strings.Cut(s.Endpoint, "://")
	client, err := minio.New(host, &minio.Options{
		Creds: credentials.NewStaticV4(
			s.AccessKey,
			s.SecretKey,
			"",
		), Secure: scheme == "https", Transport: s.Transport(c.Node), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	const content = "bytes from S3"
	if err := client.MakeBucket(t.Context(), "bucket", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutObject(t.Context(), "bucket", "a/key", strings.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if options.TLS != nil { // the pod trusts no private authority: that it connects is enough here
		c.probe(t, "", "tcp", host)
		return
	}
	url, err := client.PresignedGetObject(t.Context(), "bucket", "a/key", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.probe(t, "", "http-get", url.String()); got != content {
		t.Errorf("a pod reads %q, want %q", got, content)
	}
}
