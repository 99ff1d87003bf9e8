// SPDX-License-Identifier: Apache-2.0

package native

import (
	"strconv"
	"testing"
	"time"
)

// TestRoom: with what the limit of a mover is by default, memory bounds nothing.
func TestRoom(t *testing.T) {
	t.Parallel()
	all := room{connections: 64, fixed: 256, handed: 64, copies: 256}
	least := room{connections: 4, fixed: 4, handed: 16, copies: 32}
	for memory, want := range map[int64]room{
		0:          all,
		-1:         all,
		1:          least,
		1 << 20:    least,
		2 << 20:    {connections: 4, fixed: 8, handed: 16, copies: 32},
		8 << 20:    {connections: 16, fixed: 32, handed: 16, copies: 32},
		16 << 20:   {connections: 32, fixed: 64, handed: 16, copies: 64},
		32 << 20:   {connections: 64, fixed: 128, handed: 32, copies: 128},
		64 << 20:   all, // An eighth of 512 MiB.
		1 << 62:    all,
		64<<20 - 1: {connections: 64, fixed: 255, handed: 63, copies: 255},
	} {
		got := roomIn(memory)
		if got != want {
			t.Errorf("in %d bytes there is room for %+v, want %+v", memory, got, want)
		}
		taken := int64(got.connections+got.handed)*bufferSize + int64(got.copies)*laneBuffer
		if memory >= 16<<20 && taken > memory {
			t.Errorf("in %d bytes buffers take %d", memory, taken)
		}
	}
}

// TestAnEngineInLittleMemory does what it does in more of it.
func TestAnEngineInLittleMemory(t *testing.T) {
	t.Parallel()
	checked, inParts := random(1, LargeSize+1), random(2, LargeSize+5)
	for _, memory := range []int64{1, 8 << 20} { // With less than eight connections nothing waits for its MD5.
		room := roomIn(memory)
		for connections, want := range map[int]int{0: room.connections, fixedConnections: room.fixed} {
			f := newFixture(t)
			f.config.Memory, f.config.Connections = memory, connections
			f.config.Idle = time.Minute // A stall would be asked again about, beside the request that the server still answers.
			for i := range 50 {
				f.put("small-"+strconv.Itoa(i), random(byte(i), 5_000*i), nil)
			}
			f.put("checksum", checked, withCRC(checked))
			f.put("parts", inParts, nil).PartSize = 5 << 20
			f.mustRun()
			f.mustHold()
			if got := f.most.Load(); got > int64(want) {
				t.Errorf("in %d bytes %d requests were made at a time, want %d at most", memory, got, want)
			}
		}
	}
}
