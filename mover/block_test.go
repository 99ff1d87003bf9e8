// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/plan"
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
	behind := max(len(want), plan.HeaderSize) // Of the sector in which an object ends, zeroes are the rest.
	if rest := bytes.Trim(got[min(len(want), len(got)):min(behind, len(got))], "\x00"); len(rest) > 0 {
		b.t.Errorf("behind the object, in its sector, is %q", rest)
	}
	if rest := bytes.TrimLeft(got[min(behind, len(got)):], "\xee"); len(rest) > 0 {
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
		"an object by name": {
			wire.Source{Objects: []wire.Object{{Key: "images/disk.img"}}}, 4 << 20, image, "", "",
		},
		"the only object of a prefix":  {wire.Source{Prefix: "images"}, 4 << 20, image, "", ""},
		"an object of parts":           {wire.Source{Prefix: "parts"}, 8 << 20, append(image, image...), "", ""},
		"a device of exactly its size": {wire.Source{Prefix: "images"}, len(image), image, "", ""},
		"a device that is one byte less": {
			wire.Source{Prefix: "images"}, len(image) - 1, nil, wire.VolumeTooSmall, "at least 4Mi",
		},
		"two objects": {
			wire.Source{Prefix: "images2"}, 4 << 20, nil, wire.NotOneObject, "the source has 2",
		},
		"no object": {wire.Source{Prefix: "images3"}, 4 << 20, nil, wire.SourceEmpty, "spec.prefix"},
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

// TestACompleteDeviceOfAnUnseenMover: the manager believes that there was none. Only the whole
// object with nothing behind it is taken for its work.
func TestACompleteDeviceOfAnUnseenMover(t *testing.T) {
	s := startVersity(t)
	image := content(1, 1<<20)
	copy(image[510:], "\x55\xaa")
	s.put(t, "disk", image)
	for name, tt := range map[string]struct {
		change func(device []byte)
		done   bool
	}{
		"complete":                    {func([]byte) {}, true},
		"booted":                      {func(d []byte) { d[len(image)-1]++ }, false},
		"something behind it":         {func(d []byte) { d[len(image)+4711] = 1 }, false},
		"a partition table behind it": {func(d []byte) { copy(d[len(d)-512:], "EFI PART") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := blockBench(t, s.endpoint, 0)
			device := append(bytes.Clone(image), make([]byte, 2<<20)...)
			tt.change(device)
			write(t, b.paths.Device, string(device))
			r := b.run()
			if tt.done && (r.Class != wire.Done || r.FetchedBytes > 0) ||
				!tt.done && (r.Reason != wire.VolumeNotEmpty || r.Began || !r.Held) {
				t.Errorf("report is %+v", r)
			}
			if got, _ := os.ReadFile(b.paths.Device); !bytes.Equal(got, device) {
				t.Error("the device was changed")
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
				w.Header().Set("ETag", tagOf(r))
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

// kms is a server whose objects have entity tags that look like an MD5 and are none, as under
// a KMS key: nothing but their size can be compared.
func kms(t *testing.T, s *s3server, object []byte) *httptest.Server {
	t.Helper()
	target, err := url.Parse(s.endpoint)
	mustDo(t, err)
	sum := md5.Sum(object)
	listed, other := hex.EncodeToString(sum[:]), strings.Repeat("ab", 16)
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
			if r.In.Header.Get("If-Match") == `"`+other+`"` { // It is not signed.
				r.Out.Header.Set("If-Match", `"`+listed+`"`)
			}
		},
		ModifyResponse: func(r *http.Response) error {
			if r.Header.Get("ETag") != "" {
				r.Header.Set("ETag", `"`+other+`"`)
				r.Header.Set("X-Amz-Server-Side-Encryption", "aws:kms")
				withoutChecksums(r.Header)
				return nil
			}
			body, err := io.ReadAll(r.Body)
			body = bytes.ReplaceAll(body, []byte(listed), []byte(other))
			r.Body = io.NopCloser(bytes.NewReader(body))
			return err
		},
	}
	p := httptest.NewServer(forward)
	t.Cleanup(p.Close)
	return p
}

// withoutChecksums makes an answer that of a server that knows of none.
func withoutChecksums(h http.Header) {
	maps.DeleteFunc(h, func(name string, _ []string) bool { return strings.HasPrefix(name, "X-Amz-Checksum") })
}

// TestABlankDeviceIsNotComplete: an attempt that died before it wrote anything leaves zeroes,
// which have the right size too.
func TestABlankDeviceIsNotComplete(t *testing.T) {
	s := startVersity(t)
	image := content(1, 3<<20)
	s.put(t, "disk", image)
	for name, prepare := range map[string]func(t *testing.T, b *bench){
		"blank": func(*testing.T, *bench) {},
		"zeroes, and an earlier one began": func(t *testing.T, b *bench) {
			b.request.Volume.Began = true
			writeAt(t, b.paths.Device, string(make([]byte, 1<<20)), 0)
		},
		"begun": func(t *testing.T, b *bench) {
			writeAt(t, b.paths.Device, plan.Header{Claim: testClaim, Pod: "earlier-pod", Request: "r"}.Line(), 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := blockBench(t, kms(t, s, image).URL, 4<<20)
			prepare(t, b)
			b.request.Attempt = 2
			r := b.mustBeDone(b.run())
			b.mustBeOnDevice(image)
			if !strings.Contains(r.Message, "1 by size") || r.SizeOnlyObjects != 1 {
				t.Errorf("the report is %+v, want 1 object by size", r)
			}
		})
	}
}

// TestADeviceThatWasCompletedIsNotWritten: the header of a mover that began is gone, and nothing else tells what is
// there now, as it may be what a pod wrote.
func TestADeviceThatWasCompletedIsNotWritten(t *testing.T) {
	s := startVersity(t)
	s.put(t, "disk", content(1, 3<<20))
	b := blockBench(t, s.endpoint, 4<<20)
	before := hashOf(t, b.paths.Device)
	b.request.Attempt, b.request.Volume.Began = 3, true
	if r := b.run(); r.Reason != wire.VolumeNotEmpty || r.Began || hashOf(t, b.paths.Device) != before {
		t.Errorf("report is %+v, want %s of a device that stays as it is", r, wire.VolumeNotEmpty)
	}
}

// TestADeviceThatLosesBytes: S3 tells nothing that the device could be compared with. It is compared
// with what came.
func TestADeviceThatLosesBytes(t *testing.T) {
	s := startVersity(t)
	image := content(1, 3<<20)
	s.put(t, "disk", image)
	b := blockBench(t, "", 4<<20)
	var once sync.Once
	server := kms(t, s, image)
	p := startProxy(t, &s3server{endpoint: server.URL}, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodHead && keyOf(r) == "disk" && !strings.Contains(r.UserAgent(), "mc/") {
			// The mover asks what the object is whose entity tag the device does not have.
			once.Do(func() { writeAt(t, b.paths.Device, "lost", 2<<20) })
		}
		return false
	})
	b.request.Source.Endpoint = p.URL
	b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	if n := p.gets.Load(); n != 2 {
		t.Errorf("the object was fetched %d times, want 2", n)
	}
}

// TestAKilledDeviceIsFilledAgain: while it is filled it carries our header, so that nobody
// takes half an image for one.
func TestAKilledDeviceIsFilledAgain(t *testing.T) {
	s := startVersity(t)
	image := content(1, 3<<20)
	copy(image[1080:], "\x53\xef") // It looks like a file system, as images do.
	s.put(t, "disk", image)
	var once sync.Once
	stuck := make(chan struct{})
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) (held bool) {
		if r.Method == http.MethodGet && keyOf(r) == "disk" {
			once.Do(func() {
				held = true
				w.Header().Set("Content-Length", strconv.Itoa(len(image)))
				w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
				_, _ = w.Write(image[:2<<20])
				_ = http.NewResponseController(w).Flush()
				close(stuck)
				<-r.Context().Done()
			})
		}
		return held
	})
	b := blockBench(t, p.URL, 4<<20)
	cmd := b.spawn()
	<-stuck
	waitFor(t, time.Minute, "half of the image is on the device", func() bool {
		got, err := os.ReadFile(b.paths.Device)
		return err == nil && bytes.Equal(got[1<<20:3<<19], image[1<<20:3<<19])
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	got, err := os.ReadFile(b.paths.Device)
	mustDo(t, err)
	if h, ok := plan.ParseHeader(got); !ok || h.Claim != testClaim || h.Pod != "killed-pod" {
		t.Errorf("the device begins with %q", got[:64])
	}
	t.Run("not by the mover of another claim", func(t *testing.T) {
		other := *b
		other.t, other.request.Volume.ClaimUID = t, "another-claim"
		if r := other.run(); r.Reason != wire.VolumeNotEmpty {
			t.Errorf("report is %+v, want %s", r, wire.VolumeNotEmpty)
		}
	})
	b.request.Attempt = 2
	b.mustBeDone(b.run())
	b.mustBeOnDevice(image)
	t.Run("a complete one is not fetched again", func(t *testing.T) {
		b.request.Attempt = 3
		if r := b.mustBeDone(b.run()); r.FetchedBytes > 0 {
			t.Errorf("fetched %d bytes", r.FetchedBytes)
		}
	})
	t.Run("another image is not written over it", func(t *testing.T) {
		s.put(t, "disk", content(2, 3<<20))
		before := hashOf(t, b.paths.Device)
		if r := b.run(); r.Reason != wire.VolumeNotEmpty || hashOf(t, b.paths.Device) != before {
			t.Errorf("report is %+v, want %s", r, wire.VolumeNotEmpty)
		}
		b.request.Volume.Began = true // It was completed, and may have been handed over.
		if r := b.run(); r.Reason != wire.VolumeNotEmpty || hashOf(t, b.paths.Device) != before {
			t.Errorf("report of a mover that is told that one began is %+v, want %s", r, wire.VolumeNotEmpty)
		}
	})
}
