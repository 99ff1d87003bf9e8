// SPDX-License-Identifier: Apache-2.0

package mc

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/wire"
)

// clientOf runs a binary in place of mc, with the keys in a directory.
func clientOf(t *testing.T, binary, secret string) *Client {
	t.Helper()
	r := wire.Request{
		Source:      wire.Source{Endpoint: "http://127.0.0.1:1", Bucket: "bucket"},
		Credentials: wire.Credentials{Kind: wire.SecretFiles},
	}
	s, err := source.Connect(r, fault.Classifier{}, source.Mounts{Credentials: secret}, os.Getenv, 0)
	if err != nil {
		t.Fatal(err)
	}
	return New(Setup{
		Binary: binary, Scratch: t.TempDir(), Bucket: "bucket", Source: s, Getenv: os.Getenv, IdleTimeout: time.Minute,
	})
}

func put(t *testing.T, dir, access, secret string) {
	t.Helper()
	for name, text := range map[string]string{"access_key": access, "secret_key": secret} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWhatMCIsAsked: every run is told the keys of objects, the share of the bandwidth and nothing
// that it could take for an option.
func TestWhatMCIsAsked(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "AK", "secret")
	c := clientOf(t, "/bin/echo", dir)
	asked := func(run func(ctx context.Context, read func(io.Reader) error) error) string {
		t.Helper()
		var text []byte
		err := run(t.Context(), func(r io.Reader) (err error) {
			text, err = io.ReadAll(r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(text))
	}
	for want, keys := range map[string][]string{
		"cat source/bucket/--a": {"--a"}, "cat source/bucket/a source/bucket/b": {"a", "b"},
	} {
		got := asked(func(ctx context.Context, read func(io.Reader) error) error { return c.Cat(ctx, keys, 0, 0, read) })
		if got != want {
			t.Errorf("mc is asked %q, want %q", got, want)
		}
	}
	c.setup.Insecure = true
	const want = "cat --insecure --limit-download 7B --offset 5 source/bucket/a"
	got := asked(func(ctx context.Context, read func(io.Reader) error) error {
		return c.Cat(ctx, []string{"a"}, 5, 7, read)
	})
	if got != want {
		t.Errorf("mc is asked %q, want %q", got, want)
	}
	c.Close()
	if left, err := os.ReadDir(c.setup.Scratch); err != nil || len(left) > 0 {
		t.Errorf("the scratch directory holds %v (%v)", left, err)
	}
}

// TestWhatAMirrorIsAsked: it keeps to its share of the bandwidth, and takes nothing that is excluded.
func TestWhatAMirrorIsAsked(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "AK", "secret")
	c := clientOf(t, "/bin/false", dir)
	every := []string{"mirror", "--overwrite", "--retry", "--skip-errors", "--json"}
	for name, tt := range map[string]struct {
		mirror Mirror
		want   []string
	}{
		"all of it": {Mirror{Directory: "/v/"}, []string{"source/bucket/", "/v/"}},
		"a share": {
			Mirror{Directory: "/v/", BytesPerSecond: 7}, []string{"--limit-download", "7B", "source/bucket/", "/v/"},
		},
		"some of it": {
			Mirror{Prefix: "a b/", Directory: "/v/c/", Exclude: []string{"../*", "x"}, BytesPerSecond: 1 << 30},
			[]string{
				"--limit-download", "1073741824B", "--exclude", "../*", "--exclude", "x", "source/bucket/a b/", "/v/c/",
			},
		},
	} {
		if got, want := c.mirrorArguments(tt.mirror), slices.Concat(every, tt.want); !slices.Equal(got, want) {
			t.Errorf("%s: mc is asked %q, want %q", name, got, want)
		}
	}
}
