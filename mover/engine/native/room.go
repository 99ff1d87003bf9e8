// SPDX-License-Identifier: Apache-2.0

package native

// room is how many buffers there may be at a time.
type room struct {
	connections int // Each of which has one.
	fixed       int // Connections where somebody has said how many.
	handed      int // Of connections, with bytes whose MD5 is still to come.
	copies      int // Of such bytes.
}

// roomIn divides memory in bytes: half is for connections, half for what waits for its MD5. Connections of which
// somebody has said how many may take as much as all of it. There are never so few that it would not work, and
// never more than are of use; 0 is as many as are.
func roomIn(memory int64) room {
	if memory <= 0 {
		return room{connections: mostConnections, fixed: fixedConnections, handed: mostHanded, copies: mostLaneBuffers}
	}
	within := func(memory, size int64, least, most int) int {
		return int(min(max(memory/size, int64(least)), int64(most)))
	}
	return room{
		connections: within(memory/2, bufferSize, leastConnections, mostConnections),
		fixed:       within(memory, bufferSize, leastConnections, fixedConnections),
		handed:      within(memory/4, bufferSize, md5Lanes, mostHanded), // One for each lane.
		copies:      within(memory/4, laneBuffer, 2*md5Lanes, mostLaneBuffers),
	}
}
