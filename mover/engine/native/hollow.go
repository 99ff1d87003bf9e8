// SPDX-License-Identifier: Apache-2.0

package native

import (
	"errors"
	"maps"
	"sync"
)

// errHollow is for a range that S3 promised and of which nothing came: MinIO does so with objects that it has
// compressed and encrypted, which come whole. It is for a range, too, that S3 says the object does not have: the
// object is shorter than it was listed, which some look at before its entity tag, or S3 knows no ranges of it.
// Asked for as a whole, S3 says which.
var errHollow = errors.New("nothing of a range came")

// mostHollow is how many objects come whole because of that before all do.
const mostHollow = 3

// hollow are the keys of objects whose ranges are of no use.
type hollow struct {
	mu   sync.Mutex
	keys map[string]bool
}

// add one, and tell whether there are too many.
func (h *hollow) add(key string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys == nil {
		h.keys = map[string]bool{}
	}
	h.keys[key] = true
	return len(h.keys) >= mostHollow
}

// avoidRanges notes an object whose ranges are of no use, if that is what an error says: with the next call it comes
// whole.
func (w *worker) avoidRanges(key string, err error) {
	if errors.Is(err, errHollow) && w.hollow.add(key) {
		w.noRanges.Store(true)
	}
}

// known are those of this moment.
func (h *hollow) known() map[string]bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.keys)
}
