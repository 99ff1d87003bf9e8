// SPDX-License-Identifier: Apache-2.0

// Package mc runs mc, MinIO's client, as a process: it renders mc's configuration, gives the bytes
// of objects or the lines that mc prints to who reads them, and says why mc failed. It knows no
// plan, and writes to no volume but by mc's mirror.
package mc

import (
	"context"
	"errors"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/s3populator/s3populator/mover/source"
)

// ErrShort is what a reader returns when mc ended before an object was complete; mc's own words are
// then what the run ends with.
var ErrShort = errors.New("the object ended early")

// Setup is what a client of mc needs to know.
type Setup struct {
	Binary     string // The path of mc.
	Scratch    string // A directory in memory, for mc's configuration.
	Memory     int64  // A soft limit for the heap of one mc in bytes; 0 for none.
	Bucket     string
	Addressing string // spec.addressing.
	Insecure   bool   // spec.tls.insecureSkipVerify.
	Source     *source.Client
	Getenv     func(string) string
	// IdleTimeout is how long mc may read and write nothing before it is killed.
	IdleTimeout time.Duration
}

// Client runs mc, several at a time.
type Client struct {
	setup Setup

	mu       sync.Mutex
	ready    bool            // The configuration was written.
	identity source.Identity // Of the latest run.
}

// New makes a client. Nothing is written before mc runs.
func New(s Setup) *Client { return &Client{setup: s} }

// URL is how mc is told about a key, or about a prefix.
func (c *Client) URL(key string) string { return Alias + "/" + c.setup.Bucket + "/" + key }

// Cat gives read the bytes of some objects, one after the other, the first one from an offset on, at
// so many bytes per second; 0 is no limit. The error belongs to the first object that did not arrive
// whole.
func (c *Client) Cat(ctx context.Context, keys []string, from, bytesPerSecond int64, read func(io.Reader) error) error {
	args := append([]string{"cat"}, limit(bytesPerSecond)...)
	if from > 0 {
		args = append(args, "--offset", strconv.FormatInt(from, 10))
	}
	for _, key := range keys {
		args = append(args, c.URL(key))
	}
	return c.run(ctx, args, read)
}

// Mirror is what a mirror writes, and where.
type Mirror struct {
	Prefix    string   // Of the objects; empty or ending in a slash.
	Directory string   // Ending in a slash.
	Exclude   []string // Patterns of keys, below the prefix.
	// BytesPerSecond that it may use; 0 is no limit.
	BytesPerSecond int64
}

// Mirror writes objects to a directory and tells of each file as soon as mc has placed it.
func (c *Client) Mirror(ctx context.Context, m Mirror, w Watch) error {
	f := &follower{Watch: w, directory: m.Directory, started: make(chan int, 1024), ready: make(chan int, 1024)}
	stop := f.start(ctx)
	err := c.run(ctx, c.mirrorArguments(m), func(r io.Reader) error { return readLines(r, f.read) })
	stop()
	return err
}

func (c *Client) mirrorArguments(m Mirror) []string {
	args := append([]string{"mirror", "--overwrite", "--retry", "--skip-errors", "--json"}, limit(m.BytesPerSecond)...)
	for _, pattern := range m.Exclude {
		args = append(args, "--exclude", pattern)
	}
	return append(args, c.URL(m.Prefix), m.Directory)
}

// limit is mc's flag for the bandwidth of one process.
func limit(bytesPerSecond int64) []string {
	if bytesPerSecond <= 0 {
		return nil
	}
	return []string{"--limit-download", strconv.FormatInt(bytesPerSecond, 10) + "B"}
}

// arguments adds what every run needs. No secret is among them.
func (c *Client) arguments(args []string) []string {
	all := []string{args[0]}
	if c.setup.Insecure {
		all = append(all, "--insecure")
	}
	return append(all, args[1:]...)
}
