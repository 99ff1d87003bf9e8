// SPDX-License-Identifier: Apache-2.0

package native

import (
	"crypto/md5"
	"fmt"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/crc64nvme"
	theirs "github.com/minio/minio-go/v7/pkg/signer"

	"github.com/s3populator/s3populator/mover/engine"
)

func TestFetch(t *testing.T) {
	t.Parallel()
	sizes := map[string]int{
		"nothing": 0, "a byte": 1, "a buffer": bufferSize, "a buffer and a byte": bufferSize + 1,
		"just small": LargeSize - 1, "large": LargeSize, "large and odd": 3*rangeSize + 12345,
	}
	for name, headers := range map[string]func([]byte) map[string]string{
		"MD5": func([]byte) map[string]string { return nil }, "CRC": withCRC,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			seed := byte(0)
			for key, n := range sizes {
				seed++
				body := random(seed, n)
				f.put("dir/"+key+" ü+%", body, headers(body))
			}
			f.mustRun()
			f.mustHold()
			for _, task := range f.tasks {
				want := engine.MD5
				if name == "CRC" {
					want = engine.CRC64NVME
				}
				if e := f.got[task.Index]; e.Received.Algorithm != want || name == "CRC" && e.Received != e.Said {
					t.Errorf("%s: received %+v, said %+v", task.Key, e.Received, e.Said)
				}
			}
		})
	}
}

// Without a proxy or answers without a length, net/http has no part; with them it must do.
func TestFetchWithNetHTTP(t *testing.T) {
	t.Parallel()
	chunked := func(f *fixture) {
		f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.Method == http.MethodHead || r.Header.Get("Range") != "" {
				return false
			}
			o := f.objects[r.URL.Path[len("/bucket/"):]]
			w.Header().Set("ETag", `"`+o.tag+`"`)
			_, _ = w.Write(o.body[:len(o.body)/2])
			w.(http.Flusher).Flush()
			_, _ = w.Write(o.body[len(o.body)/2:])
			return true
		}
	}
	proxied := func(f *fixture) {
		proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !r.URL.IsAbs() {
				refuse(w, http.StatusBadRequest, "NotProxied")
				return
			}
			f.ServeHTTP(w, r)
		}))
		f.t.Cleanup(proxy.Close)
		u, _ := url.Parse(proxy.URL)
		f.config.Proxy = http.ProxyURL(u)
		f.config.Bucket = &url.URL{Scheme: "http", Host: "s3.example.invalid", Path: "/bucket"}
	}
	for name, prepare := range map[string]func(*fixture){"no length": chunked, "a proxy": proxied} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.put("small & odd", random(1, 100_000), nil)
			large := random(2, LargeSize+5)
			f.put("large", large, withCRC(large))
			parts := random(3, 2*LargeSize+5)
			f.put("parts", parts, nil).PartSize = 5 << 20
			prepare(f)
			f.mustRun()
			f.mustHold()
			if got, want := f.got[2].Received, partsOf(parts, 5<<20); got != want {
				t.Errorf("the sum of parts is %+v, want %+v", got, want)
			}
		})
	}
}

// A resumed object fetches nothing of what is present and sums it with the rest.
func TestFetchResumes(t *testing.T) {
	t.Parallel()
	plain := func([]byte) map[string]string { return nil }
	for name, c := range map[string]struct {
		headers  func([]byte) map[string]string
		partSize int64
	}{
		"MD5":                     {headers: plain},
		"CRC":                     {headers: withCRC},
		"MD5 of parts":            {headers: plain, partSize: 5 << 20},
		"MD5 of large parts":      {headers: plain, partSize: rangeSize + 1},
		"MD5 of very large parts": {headers: plain, partSize: mostPart + 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			body := random(1, 5*rangeSize+7)
			task := f.put("large", body, c.headers(body))
			task.PartSize = c.partSize
			task.Present = []engine.Range{{Offset: 0, Length: rangeSize + 1000}, {Offset: 3 * rangeSize, Length: 77}}
			file := &memory{f: f, data: make([]byte, len(body))}
			for _, r := range task.Present {
				copy(file.data[r.Offset:r.End()], body[r.Offset:r.End()])
			}
			f.files["large"] = file
			f.fault = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
				var from, to int64
				_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
				for _, p := range task.Present {
					if r.Method == http.MethodGet && from < p.End() && to >= p.Offset {
						t.Errorf("bytes %d to %d were fetched", from, to)
					}
				}
				return false
			}
			f.mustRun()
			f.mustHold()
			if got := f.got[0].Received; c.partSize > 0 && got != partsOf(body, c.partSize) {
				t.Errorf("the sum is %+v, want %+v", got, partsOf(body, c.partSize))
			}
		})
	}
}

// partsOf is the MD5 of the MD5s of parts of a size.
func partsOf(body []byte, size int64) engine.Sum {
	outer := md5.New()
	for at := 0; at < len(body); at += int(size) {
		sum := md5.Sum(body[at:min(at+int(size), len(body))])
		outer.Write(sum[:])
	}
	sum := engine.Sum{Algorithm: engine.MD5Parts, PartSize: size}
	outer.Sum(sum.Value[:0])
	return sum
}

// TestMD5OfParts: parts that are fetched one by one, several with one request, and such that are so
// small or so large that the object is read back.
func TestMD5OfParts(t *testing.T) {
	t.Parallel()
	whole := random(1, 5*rangeSize+7)
	for _, n := range []int{LargeSize, LargeSize + 5, 5 << 20, len(whole)} {
		for _, part := range []int64{5 << 20, rangeSize + 3, leastPart - 1, mostPart + 1} {
			f := newFixture(t)
			body := whole[:n]
			task := f.put("object", body, nil)
			task.PartSize = part
			f.mustRun()
			f.mustHold()
			if got, want := f.got[0].Received, partsOf(body, part); got != want {
				t.Errorf("%d bytes: %+v, want %+v", n, got, want)
			}
		}
	}
}

func TestCombine(t *testing.T) {
	t.Parallel()
	body := random(3, 1_000_003)
	for name, tt := range map[string]struct {
		algorithm engine.Algorithm
		want      uint64
	}{
		"CRC64NVME": {engine.CRC64NVME, crc64nvme.Checksum(body)},
		"CRC32C":    {engine.CRC32C, uint64(crc32.Checksum(body, castagnoli))},
		"CRC32":     {engine.CRC32, uint64(crc32.ChecksumIEEE(body))},
	} {
		for _, cut := range []int{0, 1, 7, 4096, 999_999, len(body)} {
			first, second := update(tt.algorithm, 0, body[:cut]), update(tt.algorithm, 0, body[cut:])
			if got := combine(tt.algorithm, first, second, int64(len(body)-cut)); got != tt.want {
				t.Errorf("%s cut at %d: %x, want %x", name, cut, got, tt.want)
			}
		}
	}
}

// The signature is that of minio-go, which real servers accept.
func TestSignature(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		keys   Keys
		bucket string
		task   engine.Task
		payer  bool
		whole  bool
	}{
		"path": {
			Keys{"a", "s", ""}, "http://host:9000/bucket", engine.Task{Key: "a b/ü+=&?", ETag: "x"}, false, true,
		},
		"virtual host": {Keys{"a", "s", ""}, "https://bucket.s3.amazonaws.com", engine.Task{Key: "//x~/.'"}, false, false},
		"a session":    {Keys{"a", "s", "to/k+en="}, "http://host/bucket", engine.Task{Key: "k"}, false, true},
		"a version":    {Keys{"a", "s", ""}, "http://host/bucket", engine.Task{Key: "k", Version: "v+1/ ="}, false, true},
		"a payer":      {Keys{"a", "s", "t"}, "http://host/bucket", engine.Task{Key: "k"}, true, true},
		"a directory bucket": {
			Keys{"a", "s", "t"},
			"https://b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
			engine.Task{Key: "k"},
			true, true,
		},
	} {
		u, err := url.Parse(tt.bucket)
		if err != nil {
			t.Fatal(err)
		}
		service := "s3"
		if strings.Contains(tt.bucket, "s3express") {
			service = "s3express"
		}
		e := New(Config{Bucket: u, Region: "eu-west-1", Service: service, RequestPayer: tt.payer})
		for { // They take the time themselves.
			now := time.Now()
			day := now.UTC().Format("20060102")
			s := &signing{keys: tt.keys, day: day, key: dayKey(tt.keys.Secret, day, "eu-west-1", service)}
			l := &plainLine{engine: e, composer: newComposer(e)}
			q := query{method: "GET", task: &tt.task, whole: tt.whole, checksums: true, part: engine.Range{Length: 5}}
			r, err := l.request(t.Context(), q, s)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Header.Clone()
			for _, h := range []string{"Authorization", "X-Amz-Date", "If-Match", "Range", "User-Agent", "Accept-Encoding"} {
				r.Header.Del(h)
			}
			want := theirs.SignV4WithServiceType(
				*r, tt.keys.Access, tt.keys.Secret, tt.keys.Session, "eu-west-1", service,
			).Header
			if got.Get("X-Amz-Date") != want.Get("X-Amz-Date") {
				continue
			}
			if got, want := got.Get("Authorization"), want.Get("Authorization"); got != want {
				t.Errorf("%s:\n%s, want\n%s", name, got, want)
			}
			break
		}
	}
}
