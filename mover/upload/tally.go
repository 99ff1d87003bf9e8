// SPDX-License-Identifier: Apache-2.0

package upload

import "sync/atomic"

// Tally counts what is done, for progress messages.
type Tally struct {
	Objects, Bytes         atomic.Int64 // Of files that are in S3, and of parts of them.
	AllObjects, AllBytes   atomic.Int64 // Zero while the volume is scanned.
	SentObjects, SentBytes atomic.Int64 // By this attempt.
}
