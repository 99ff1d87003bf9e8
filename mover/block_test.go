// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// blockBench has a device of the given size, full of something else. A regular
// file is a device as far as reading, writing and seeking go.
func blockBench(t *testing.T, endpoint string, size int) *bench {
	t.Helper()
	b := newBench(t, endpoint)
	write(t, b.paths.Device, string(bytes.Repeat([]byte{0xee}, size)))
	b.request.Volume.Mode = wire.Block
	b.options.Paths.Volume = "/nonexistent"
	return b
}

func (b *bench) mustBeOnDevice(want []byte) {
	b.t.Helper()
	got, err := os.ReadFile(b.paths.Device)
	if err != nil || !bytes.HasPrefix(got, want) {
		b.t.Errorf("the device does not start with the object (%v)", err)
	}
	if rest := bytes.TrimLeft(got[min(len(want), len(got)):], "\xee"); len(rest) > 0 {
		b.t.Errorf("%d bytes behind the object were changed", len(rest))
	}
}

func TestBlock(t *testing.T) {
	s := startVersity(t)
	image := content(1, 3<<20+17)
	s.put(t, "images/disk.img", image)
	s.putParts(t, "parts/disk.img", append(image, image...), 5<<20)
	s.put(t, "images2/a", nil)
	s.put(t, "images2/b", nil)
	for name, tt := range map[string]struct {
		source     wire.Source
		size       int
		want       []byte
		wantReason wire.Reason
		wantText   string
	}{
		"an object by name":              {wire.Source{Objects: []wire.Object{{Key: "images/disk.img"}}}, 4 << 20, image, "", ""},
		"the only object of a prefix":    {wire.Source{Prefix: "images"}, 4 << 20, image, "", ""},
		"an object of parts":             {wire.Source{Prefix: "parts"}, 8 << 20, append(image, image...), "", ""},
		"a device of exactly its size":   {wire.Source{Prefix: "images"}, len(image), image, "", ""},
		"a device that is one byte less": {wire.Source{Prefix: "images"}, len(image) - 1, nil, wire.VolumeTooSmall, "at least 4Mi"},
		"two objects":                    {wire.Source{Prefix: "images2"}, 4 << 20, nil, wire.NotOneObject, "the source has 2"},
		"no object":                      {wire.Source{Prefix: "images3"}, 4 << 20, nil, wire.SourceEmpty, "spec.prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			b := blockBench(t, s.endpoint, tt.size)
			tt.source.Endpoint, tt.source.Bucket, tt.source.Region = s.endpoint, testBucket, "us-east-1"
			b.request.Source = tt.source
			r := b.run()
			if tt.wantReason != "" {
				if r.Reason != tt.wantReason || !strings.Contains(r.Message, tt.wantText) {
					t.Errorf("report is %+v, want %s with %s", r, tt.wantReason, tt.wantText)
				}
				if want := map[wire.Reason]int64{wire.VolumeTooSmall: 4 << 20}[r.Reason]; r.RequiredBytes != want {
					t.Errorf("the report requires %d bytes, want %d", r.RequiredBytes, want)
				}
				return
			}
			b.mustBeDone(r)
			b.mustBeOnDevice(tt.want)
			if r.FetchedBytes != int64(len(tt.want)) {
				t.Errorf("fetched %d bytes, want %d", r.FetchedBytes, len(tt.want))
			}
			b.request.Attempt = 2
			if r := b.mustBeDone(b.run()); r.FetchedBytes != 0 {
				t.Errorf("a second attempt on a complete device fetched %d bytes", r.FetchedBytes)
			}
		})
	}
}

func TestBlockIsWrittenAgainWhenTheBytesWereWrong(t *testing.T) {
	s := startVersity(t)
	image := content(1, 100_000)
	s.put(t, "disk", image)
	var once sync.Once
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) (lied bool) {
		if r.Method == http.MethodGet && keyOf(r) == "disk" {
			once.Do(func() {
				lied = true
				w.Header().Set("Content-Length", "100000")
				w.Header().Set("ETag", `"00000000000000000000000000000000"`)
				w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
				_, _ = w.Write(make([]byte, 100_000))
			})
		}
		return lied
	})
	b := blockBench(t, p.URL, 200_000)
	b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
}
