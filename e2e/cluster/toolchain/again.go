// SPDX-License-Identifier: Apache-2.0

package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// pauses between the tries of what needs a network: a mirror or a proxy that fails is mostly back soon.
var pauses = []time.Duration{5 * time.Second, 20 * time.Second}

// passingError may not come again.
type passingError struct{ error }

func (p passingError) Unwrap() error { return p.error }

func passing(err error) error {
	if err == nil {
		return nil
	}
	return passingError{err}
}

// unreachable takes an error for a passing one where the go command says so: it tells then what it could not get. A
// compiler quotes what looks like an address, and says nothing of getting it.
func unreachable(err error) error {
	if err == nil {
		return nil
	}
	for _, sign := range []string{`Get "http`, `read "http`, "reading http", "unable to access 'http"} {
		if strings.Contains(err.Error(), sign) {
			return passing(err)
		}
	}
	return err
}

func (c *Cache) again(ctx context.Context, do func() error) error {
	return again(ctx, c.Log, pauses, do)
}

// again does something until it succeeds, fails in a way that does not pass, or has failed once more than there are
// pauses.
func again(ctx context.Context, log io.Writer, pauses []time.Duration, do func() error) error {
	for _, pause := range pauses {
		err := do()
		if _, passes := errors.AsType[passingError](err); !passes || ctx.Err() != nil {
			return err
		}
		fmt.Fprintf(log, "again in %s: %v\n", pause, err)
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(pause):
		}
	}
	return do()
}
