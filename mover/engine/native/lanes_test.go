// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/engine"
)

// eachLanes runs a test with the library, and with lanes of ours where the processor has them.
func eachLanes(t *testing.T, test func(t *testing.T, l *lanes)) {
	t.Helper()
	for _, byLibrary := range []bool{false, true} {
		t.Run("by the library: "+strconv.FormatBool(byLibrary), func(t *testing.T) {
			t.Parallel()
			if !byLibrary && !hasMD5Lanes {
				t.Skip("the processor has no AVX-512")
			}
			test(t, &lanes{byLibrary: byLibrary})
		})
	}
}

// within ends a test that waits without an end.
func within(t *testing.T, what *sync.WaitGroup) {
	t.Helper()
	ended := make(chan struct{})
	go func() { what.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the sums never end")
	}
}

// TestLanesOfManyConnections: the buffers of one server are less than two for each of many hashes, which
// then wait for each other without an end.
func TestLanesOfManyConnections(t *testing.T) {
	t.Parallel()
	for _, memory := range []int64{0, 1} {
		eachLanes(t, func(t *testing.T, l *lanes) {
			l.room = roomIn(memory)
			besides := l.besides(fixedConnections)
			body := random(1, 300_000)
			want := md5.Sum(body)
			var all sync.WaitGroup
			for range fixedConnections {
				all.Go(func() {
					h := besides()
					for range 5 {
						h.Reset()
						_, _ = h.Write(body[:37]) // What comes with the head of an answer is no whole block.
						_, _ = h.Write(body[37:])
						if got := h.Sum(nil); [md5.Size]byte(got) != want {
							t.Error("the sum is wrong")
						}
					}
				})
			}
			within(t, &all)
			l.close()
		})
	}
}

// TestSumsThatAreGivenUp: an object of which nothing comes, or little, may come the next time.
func TestSumsThatAreGivenUp(t *testing.T) {
	t.Parallel()
	eachLanes(t, func(t *testing.T, l *lanes) {
		body := random(1, 300_000)
		summer := summer{besides: l.besides(lanesFrom)}
		var all sync.WaitGroup
		all.Go(func() {
			for _, came := range []int{0, 0, 0, 0, 1, 1, 1, 1, 64, 64, 64, 64} {
				summer.begin(engine.MD5, 0, int64(len(body)))
				summer.write(body[:came])
			}
			summer.begin(engine.MD5, 0, int64(len(body)))
			summer.write(body)
			sum := summer.end()
			if [md5.Size]byte(sum.Value[:md5.Size]) != md5.Sum(body) {
				t.Error("the sum is wrong")
			}
			summer.begin(engine.MD5, 0, int64(len(body)))
			summer.write(body[:100])
			summer.giveUp()
		})
		within(t, &all)
		if l.ours != nil && l.ours.writing != 0 {
			t.Errorf("%d sums are waited for that nobody writes to", l.ours.writing)
		}
		l.close()
	})
}

// TestLanesOfEverySize: sums of every length around a block and a buffer, written in pieces of any size, some of which
// nobody waits for, and some that are given up.
func TestLanesOfEverySize(t *testing.T) {
	t.Parallel()
	eachLanes(t, func(t *testing.T, l *lanes) {
		sizes := []int{laneBuffer - 1, laneBuffer, laneBuffer + 1, 3*laneBuffer + 55, 3*laneBuffer + 56, 1 << 20}
		for n := range 200 {
			sizes = append(sizes, n)
		}
		body := random(7, 1<<20)
		summer := summer{besides: l.besides(lanesFrom)}
		var later sync.WaitGroup
		for _, size := range sizes {
			summer.begin(engine.MD5, 0, int64(size))
			summer.write(body[:rand.IntN(size+1)]) // It is given up.
			summer.begin(engine.MD5, 0, int64(size))
			for rest := body[:size]; len(rest) > 0; {
				n := 1 + rand.IntN(len(rest))
				summer.write(rest[:n])
				rest = rest[n:]
			}
			check := func(sum engine.Sum) {
				if want := md5.Sum(body[:size]); sum.Algorithm != engine.MD5 || [md5.Size]byte(sum.Value[:md5.Size]) != want {
					t.Errorf("the sum of %d bytes is wrong", size)
				}
			}
			later.Add(1)
			isLater := size%2 == 0 && summer.later(func(sum engine.Sum) {
				defer later.Done()
				check(sum)
			})
			if !isLater {
				check(summer.end())
				later.Done()
			}
		}
		l.close()
		within(t, &later)
	})
}

// TestMD5Blocks compares each lane, of which each has another content and length.
func TestMD5Blocks(t *testing.T) {
	t.Parallel()
	if !hasMD5Lanes {
		t.Skip("the processor has no AVX-512")
	}
	var lanes laneSet
	var want [md5Lanes][md5.Size]byte
	for i := range md5Lanes {
		body := random(byte(i), (i/2+1)*md5.BlockSize)
		length := len(body) - md5.BlockSize + i
		want[i] = md5.Sum(body[:length])
		clear(body[length:])
		body[length] = 0x80
		binary.LittleEndian.PutUint64(body[len(body)-8:], uint64(length)<<3)
		lanes.enter(i, newLaneSum())
		lanes.data[i] = body
	}
	for left := md5Lanes; left > 0; {
		lanes.step()
		for i, l := range lanes.sums {
			if l == nil || len(lanes.data[i]) > 0 {
				continue
			}
			lanes.leave(i)
			left--
			if got := l.digest(); got != want[i] {
				t.Errorf("lane %d: the sum is %x, want %x", i, got, want[i])
			}
		}
	}
}

// TestLanesThatAreNotFull: a sum that nobody waits for comes all the same, when nothing more does.
func TestLanesThatAreNotFull(t *testing.T) {
	t.Parallel()
	if !hasMD5Lanes {
		t.Skip("the processor has no AVX-512")
	}
	var l lanes
	h, _ := l.besides(lanesFrom)().(*laneHash)
	_, _ = h.Write([]byte("abc"))
	var later sync.WaitGroup
	later.Add(1)
	h.later(func(digest [md5.Size]byte) {
		defer later.Done()
		if digest != md5.Sum([]byte("abc")) {
			t.Errorf("the sum is %x", digest)
		}
	})
	within(t, &later)
	l.close()
}
