// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signalled, signal := context.WithCancel(t.Context())
		ctx := linger(signalled, 5*time.Second)
		time.Sleep(time.Hour)
		signal()
		time.Sleep(5*time.Second - time.Millisecond)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("it ended before the delay was over")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it goes on after the delay")
		}
	})
}
