// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/s3populator/s3populator/internal/testenv"
	"github.com/s3populator/s3populator/mover/wire"
)

// millionObjects is a bucket with that many objects. The first ones are empty, because they may all be fetched
// while the others are still listed, and the others are large enough for their MD5s to be computed side by side.
type millionObjects struct {
	empty, full millionObject
	empties     int
	other       http.Handler // For what is no such object; nil for nothing.
	fetched     atomic.Int64
	enough      chan struct{} // Closed when some of those that are not empty were asked for.
	once        sync.Once
}

type millionObject struct {
	body []byte
	tag  string
}

const enoughOfMillion = 2000

func newMillionObjects() *millionObjects {
	of := func(body []byte) millionObject {
		sum := md5.Sum(body)
		return millionObject{body, hex.EncodeToString(sum[:])}
	}
	return &millionObjects{
		empty: of(nil), full: of(make([]byte, 8<<10)), empties: mostEarly, enough: make(chan struct{}),
	}
}

func (s *millionObjects) object(i int) millionObject {
	if i < s.empties {
		return s.empty
	}
	return s.full
}

func (s *millionObjects) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if query.Has("list-type") {
		s.list(w, query.Get("continuation-token"))
		return
	}
	_, name, ok := strings.Cut(r.URL.Path, "/file-")
	i, err := strconv.Atoi(strings.TrimSuffix(name, ".parquet"))
	switch {
	case ok && err == nil:
	case s.other != nil:
		s.other.ServeHTTP(w, r)
		return
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	o := s.object(i)
	w.Header().Set("ETag", `"`+o.tag+`"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(o.body)))
	_, _ = w.Write(o.body)
	if len(o.body) > 0 && s.fetched.Add(1) >= enoughOfMillion {
		s.once.Do(func() { close(s.enough) })
	}
}

// list gives the page that begins with the object of this number.
func (s *millionObjects) list(w http.ResponseWriter, token string) {
	const page = 1000
	first, _ := strconv.Atoi(token)
	var text strings.Builder
	fmt.Fprintf(&text, `<ListBucketResult><Name>%s</Name><Prefix>data/</Prefix><KeyCount>%d</KeyCount>`, testBucket, page)
	for i := range page {
		o := s.object(first + i)
		fmt.Fprintf(&text, `<Contents><Key>%s</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified>`+
			`<ETag>&quot;%s&quot;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>`,
			keyOfMillion(first+i), o.tag, len(o.body))
	}
	if next := first + page; next < millionKeys {
		fmt.Fprintf(&text, `<IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>`, next)
	}
	text.WriteString(`</ListBucketResult>`)
	_, _ = w.Write([]byte(text.String()))
}

// TestAMoverOfAMillionKeys takes no more memory than its pod would have with a limit of 128 MiB, with what the command
// then says to the mover: see limitMemory there.
func TestAMoverOfAMillionKeys(t *testing.T) {
	measuresMillion(t)
	mustFitMillion(t, newMillionObjects(), func(*wire.Request) {})
}

func measuresMillion(t *testing.T) {
	t.Helper()
	if testenv.Race || testing.Short() {
		t.Skip("measures memory, for half a minute")
	}
}

// mustFitMillion measures a mover until all is listed and planned and it goes on with what is left.
func mustFitMillion(t *testing.T, s *millionObjects, change func(*wire.Request)) {
	t.Helper()
	const limit = 128 << 20
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	b := newBench(t, server.URL)
	mount(t, "tmpfs", "tmpfs", b.paths.Volume, "-o", "size=64g,nr_inodes=0") // Nothing is reserved.
	b.request.Source.Prefix = "data"
	b.request.Transfer.Engine = wire.EngineNative
	change(&b.request)
	b.options.Memory = limit / 8
	cmd := b.command()
	cmd.Env = append(cmd.Env, fmt.Sprintf("GOMEMLIMIT=%d", limit/4*3))
	ended := make(chan error, 1)
	mustDo(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { ended <- cmd.Wait() }()
	select {
	case <-s.enough:
	case err := <-ended:
		t.Fatalf("it ended before: %v\n%s", err, b.log.String())
	case <-time.After(5 * time.Minute):
		t.Fatal("it does not fetch anything")
	}
	took := peakOf(t, cmd.Process.Pid)
	mustDo(t, cmd.Process.Kill())
	<-ended
	t.Logf("it took %d KiB; %s", took>>10, b.log.String())
	if took > limit {
		t.Errorf("it took %d KiB, want %d at most", took>>10, limit>>10)
	}
}

// peakOf is the most memory in bytes that a process had.
func peakOf(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	mustDo(t, err)
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		t.Fatalf("no peak in\n%s", text)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	mustDo(t, err)
	return kib << 10
}
