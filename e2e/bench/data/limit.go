// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/s3populator/s3populator/e2e/story"
)

// limitConnections and limitRange are what measured best of 4 to 64 and of 8 to 64 MiB.
const (
	limitConnections = 16
	limitRange       = 32 * story.MiB
	limitBuffer      = 256 * story.KiB
)

// runLimit is the fastest that a client may hope to be: it knows all keys without asking,
// sends signed requests over kept connections, and throws every byte away where it arrived.
func runLimit(ctx context.Context, address, manifest string, connections int) error {
	objects, err := readObjects(manifest)
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	pieces := cut(objects)
	sign := newSigner(address, time.Now())
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			c := &connection{address: address}
			defer c.close()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(pieces) || ctx.Err() != nil {
					return ctx.Err()
				}
				if err := c.discard(ctx, sign.request(pieces[i]), pieces[i].length); err != nil {
					return fmt.Errorf("get %s: %w", pieces[i].key, err)
				}
			}
		})
	}
	return group.Wait()
}

// piece is an object, or a range of it.
type piece struct {
	key            string
	offset, length int64
	whole          bool
}

func cut(objects []object) []piece {
	out := make([]piece, 0, len(objects))
	for _, o := range objects {
		if o.Size <= 2*limitRange {
			out = append(out, piece{key: o.Key, length: o.Size, whole: true})
			continue
		}
		for at := int64(0); at < o.Size; at += limitRange {
			out = append(out, piece{key: o.Key, offset: at, length: min(limitRange, o.Size-at)})
		}
	}
	return out
}

// connection is dialled anew when the server has closed it.
type connection struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

func (c *connection) discard(ctx context.Context, request []byte, length int64) error {
	if c.conn == nil {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.address)
		if err != nil {
			return err
		}
		if c.conn = conn; c.in == nil {
			c.in = bufio.NewReaderSize(conn, limitBuffer)
		}
		c.in.Reset(conn)
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	closing, err := c.header(length)
	if err != nil {
		return err
	}
	for left := length; left > 0; {
		n, err := c.in.Discard(int(min(left, limitBuffer)))
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	if closing {
		c.close()
	}
	return nil
}

// header reads the head of an answer and requires the length that is expected.
func (c *connection) header(length int64) (closing bool, err error) {
	got := int64(-1)
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 20")):
			rest, _ := io.ReadAll(io.LimitReader(c.in, 500))
			return false, fmt.Errorf("the answer is %s\n%s", line, rest)
		case len(line) == 0 && got != length:
			return false, fmt.Errorf("the answer has %d bytes, want %d", got, length)
		case len(line) == 0:
			return closing, nil
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if got, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return false, errors.New("the length is no number")
			}
		case bytes.EqualFold(name, []byte("Connection")):
			closing = bytes.EqualFold(value, []byte("close"))
		}
	}
}
