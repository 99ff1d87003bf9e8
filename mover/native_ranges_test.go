// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestNoRangeOfAnObject: a server that says of every range that the object does not have it is asked for all of it.
// An object that became shorter is another one, which only that request tells.
func TestNoRangeOfAnObject(t *testing.T) {
	s := startVersity(t)
	body := content(2, 33<<20)
	s.put(t, "large", body)
	shortened := false
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case keyOf(r) == "" || r.Method != http.MethodGet:
			return false
		case r.Header.Get("Range") != "":
			s3Error(w, http.StatusRequestedRangeNotSatisfiable, "InvalidRange")
		case shortened:
			s3Error(w, http.StatusPreconditionFailed, "PreconditionFailed")
		default:
			return false
		}
		return true
	})
	for _, isShorter := range []bool{false, true} {
		shortened = isShorter
		filesystem, block := newBench(t, p.URL), blockBench(t, p.URL, 40<<20)
		for _, b := range []*bench{filesystem, block} {
			b.request.Transfer.Engine = wire.EngineNative
			r := b.run()
			if shortened && (r.Reason != wire.SourceChanged || !r.Class.Again()) || !shortened && r.Class != wire.Done {
				t.Errorf("the object became shorter: %t; the report is %+v", shortened, r)
			}
		}
		if !shortened {
			filesystem.mustHold(map[string][]byte{"large": body})
			block.mustBeOnDevice(body)
		}
	}
}
