// SPDX-License-Identifier: Apache-2.0

package story

import (
	"net/http"
	"time"
)

// Until answers a byte at a time until a channel is closed, so that a transfer neither ends
// nor stalls meanwhile.
func Until(done <-chan struct{}) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		honest.ServeHTTP(&trickle{ResponseWriter: w, request: r, done: done}, r)
	}
}

// trickle holds an answer back.
type trickle struct {
	http.ResponseWriter
	request *http.Request
	done    <-chan struct{}
}

func (w *trickle) Write(content []byte) (int, error) {
	written := 0
	for written < len(content)-1 {
		n, err := w.ResponseWriter.Write(content[written : written+1])
		written += n
		if err != nil {
			return written, err
		}
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return written, err
		}
		select {
		case <-w.done:
			n, err := w.ResponseWriter.Write(content[written:])
			return written + n, err
		case <-w.request.Context().Done():
			return written, w.request.Context().Err()
		case <-time.After(time.Second):
		}
	}
	n, err := w.ResponseWriter.Write(content[written:])
	return written + n, err
}
