// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/engine"
	"github.com/s3populator/s3populator/mover/engine/native"
)

// zeros is an object of nothing else.
type zeros struct {
	size     int64
	checksum bool // S3 says a CRC64NVME of it.
}

var someZeros = make([]byte, 1<<20)

func (z zeros) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"`+emptyMD5+`"`)
	if z.checksum && r.Header.Get("X-Amz-Checksum-Mode") != "" { // Nobody compares it here.
		w.Header().Set("X-Amz-Checksum-Crc64nvme", base64.StdEncoding.EncodeToString(make([]byte, 8)))
		w.Header().Set("X-Amz-Checksum-Type", "FULL_OBJECT")
	}
	from, to, status := int64(0), z.size, http.StatusOK
	if text := r.Header.Get("Range"); text != "" {
		_, _ = fmt.Sscanf(text, "bytes=%d-%d", &from, &to)
		to++
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, z.size))
		status = http.StatusPartialContent
	}
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	w.WriteHeader(status)
	for n := to - from; r.Method != http.MethodHead && n > 0; {
		m, err := w.Write(someZeros[:min(n, int64(len(someZeros)))])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

// discarding is a file that keeps nothing, and looks now and then at what is on the heap.
type discarding struct {
	mu       sync.Mutex
	size     int64
	written  int64
	looked   int64
	peak     int64
	evidence []engine.Evidence
	failed   error
}

func (d *discarding) Create(engine.Task) (engine.File, error) { return d, nil }

func (d *discarding) WriteAt(p []byte, _ int64) (int, error) {
	const every = 128 << 20 // Bytes.
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.written += int64(len(p)); d.written >= d.looked+every {
		d.looked = d.written
		d.peak = max(d.peak, inUse())
	}
	return len(p), nil
}

func (*discarding) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func (d *discarding) Commit() (engine.Identity, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.peak = max(d.peak, inUse()) // With all that was kept of each range.
	return engine.Identity{Inode: 1, Size: d.size}, nil
}

func (*discarding) Abandon() {}

func (d *discarding) Arrived(e engine.Evidence) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.evidence = append(d.evidence, e)
}

func (d *discarding) Failed(_ int, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failed = err
	return err
}

func (*discarding) Wrote(int, int64) {}

func (*discarding) Grew(int, engine.Range, uint64) {}

// TestALargeObjectTakesLittleMemory: what an engine holds does not grow with the object but for some bytes per
// range. All of 64 GiB would take a minute and more to be sent, so 1 GiB is: the rest counts as left by an attempt
// before. What is kept of each range is the same; with a checksum it is read back and summed, which takes seconds
// for 8 GiB.
func TestALargeObjectTakesLittleMemory(t *testing.T) {
	if testenv.Race {
		t.Skip("measures memory")
	}
	const memory, most, step = 16 << 20, 24 << 20, 16 << 20 // A limit of 128 MiB would give it so much.
	for name, tt := range map[string]struct {
		size     int64
		checksum bool
	}{
		"64 GiB, by size":      {64 << 30, false},
		"8 GiB, by a checksum": {8 << 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(zeros{tt.size, tt.checksum})
			defer server.Close()
			bucket, err := url.Parse(server.URL + "/bucket")
			mustDo(t, err)
			task := engine.Task{Key: "large", Path: "large", ETag: emptyMD5, Size: tt.size}
			fetched := tt.size
			for at := int64(0); at < tt.size; at += step {
				if at/step%(tt.size>>30) != 0 {
					task.Present = append(task.Present, engine.Range{Offset: at, Length: step})
					fetched -= step
				}
			}
			own := native.New(native.Config{
				Bucket: bucket, Region: "us-east-1", Memory: memory, SkipSums: !tt.checksum,
				Keys: func(context.Context) (native.Keys, error) { return native.Keys{Access: "a", Secret: "s"}, nil },
			})
			defer own.Close()
			d := &discarding{size: tt.size}
			before := inUse()
			err = own.Fetch(t.Context(), slices.Values([]engine.Task{task}), d, d)
			if err != nil || d.failed != nil || len(d.evidence) != 1 || d.evidence[0].Fetched != fetched {
				t.Fatalf("it ends with %v, %v and %+v, want %d bytes", err, d.failed, d.evidence, fetched)
			}
			if sum := d.evidence[0].Received.Algorithm; (sum == engine.CRC64NVME) != tt.checksum {
				t.Errorf("it is summed with %v", sum)
			}
			t.Logf("%d KiB at most, %d bytes written", (d.peak-before)>>10, d.written)
			if took := d.peak - before; took > most {
				t.Errorf("it holds %d KiB, want %d at most", took>>10, most>>10)
			}
		})
	}
}
