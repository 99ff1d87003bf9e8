// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/wire"
)

// millionRun is the manifest of an export that has left the objects of a million.
type millionRun struct {
	objects *millionObjects
	header  manifest.Header
}

func newMillionRun(s *millionObjects) *millionRun {
	sum := sha256.New()
	w := bufio.NewWriter(sum)
	for i := range millionKeys {
		o := s.object(i)
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\n", pathOfMillion(i), len(o.body), o.tag)
	}
	_ = w.Flush()
	return &millionRun{objects: s, header: manifest.Header{
		SchemaVersion: manifest.SchemaVersion,
		Run:           "run-1",
		Claim:         testClaim,
		Created:       time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC),
		Digest:        "sha256:" + hex.EncodeToString(sum.Sum(nil)),
	}}
}

func pathOfMillion(i int) string { return strings.TrimPrefix(keyOfMillion(i), "data/") }

func (m *millionRun) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/data/"+manifest.Key) {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"manifest"`)
	w.Header().Set("Last-Modified", m.header.Created.Format(http.TimeFormat))
	if r.Method != http.MethodHead {
		_ = m.write(w)
	}
}

// write never holds the whole: this process has more to do.
func (m *millionRun) write(to io.Writer) error {
	w := bufio.NewWriterSize(to, 64<<10)
	header, err := json.Marshal(m.header)
	if err != nil {
		return err
	}
	_, _ = w.Write(bytes.TrimSuffix(header, []byte("}")))
	_, _ = w.WriteString(`,"entries":[`)
	lines, between, before := json.NewEncoder(w), "", ""
	add := func(e manifest.Entry) {
		_, _ = w.WriteString(between)
		between = ","
		_ = lines.Encode(e)
	}
	for i := range millionKeys {
		name := pathOfMillion(i)
		for _, dir := range enteredDirs(before, path.Dir(name)) {
			add(manifest.Entry{Path: dir, Type: manifest.Directory, Mode: 0o2775, ModTime: 1, UID: 1000, GID: 1000})
		}
		before = path.Dir(name)
		o := m.objects.object(i)
		add(manifest.Entry{
			Path: name, Type: manifest.File, Size: int64(len(o.body)), ETag: o.tag, Checksum: "CRC64NVME:AAAAAAAAAAA=",
			Mode: 0o640 + uint32(i%3), ModTime: 1_795_000_000_123_456_789 + int64(i), UID: 1000 + uint32(i%5), GID: 1000,
			Inode: uint64(i) + 12,
		})
	}
	_, _ = w.WriteString("]}\n")
	return w.Flush()
}

// enteredDirs are the directories that lead to one and not to the one before it.
func enteredDirs(before, dir string) (dirs []string) {
	for at, c := range dir + "/" {
		if c == '/' && !strings.HasPrefix(before+"/", dir[:at]+"/") {
			dirs = append(dirs, dir[:at])
		}
	}
	return dirs
}

// TestAMoverOfARunOfAMillionFiles compares the run with what is listed, and restores attributes, in no more memory than
// it has for a prefix.
func TestAMoverOfARunOfAMillionFiles(t *testing.T) {
	measuresMillion(t)
	for name, attributes := range map[string]bool{"without attributes": false, "with attributes": true} {
		t.Run(name, func(t *testing.T) {
			s := newMillionObjects()
			if attributes {
				s.empties = 0 // Nothing is fetched before all is listed.
			}
			run := newMillionRun(s)
			s.other = run
			mustFitMillion(t, s, func(r *wire.Request) {
				r.Policy.RestoreAttributes = attributes
				r.Policy.Run = wire.ExportedRun{UID: run.header.Run, Prefix: "data/", Digest: run.header.Digest}
			})
		})
	}
}
