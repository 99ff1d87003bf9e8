// SPDX-License-Identifier: Apache-2.0

package native

// What is summed at a time, in bytes, and how many buffers there are for it: the memory of what waits.
const (
	laneBuffer      = 64 << 10 // For copies.
	mostLaneBuffers = 256
	// mostHanded buffers of connections are handed over, with the bytes that were read into them.
	mostHanded = 64
	// handedFrom in bytes is from where on that costs less than a copy: the buffer is of no other use meanwhile.
	handedFrom = bufferSize / 2
)

// buffers are made as they are needed, and used again.
type buffers struct {
	size, most int
	spare      [][]byte
	made       int
}

// take is nil where all are in use.
func (b *buffers) take() []byte {
	if n := len(b.spare); n > 0 {
		buffer := b.spare[n-1]
		b.spare = b.spare[:n-1]
		return buffer
	}
	if b.made == b.most {
		return nil
	}
	b.made++
	return make([]byte, b.size)
}

func (b *buffers) give(buffer []byte) { b.spare = append(b.spare, buffer) }

// chunk is some bytes in a buffer that the server owns.
type chunk struct{ bytes, buffer []byte }
