// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCompare(t *testing.T) {
	sum := sha256.Sum256([]byte("right"))
	objects := []object{{Key: "a/b", Size: 5, SHA256: hex.EncodeToString(sum[:])}}
	for name, tt := range map[string]struct {
		files map[string]string
		want  string // Part of the error.
	}{
		"equal":         {map[string]string{"a/b": "right"}, ""},
		"other bytes":   {map[string]string{"a/b": "wrong"}, "a/b has 5 bytes"},
		"cut":           {map[string]string{"a/b": "righ"}, "a/b has 4 bytes"},
		"missing":       {nil, "0 files"},
		"one more":      {map[string]string{"a/b": "right", "c": ""}, "2 files"},
		"another place": {map[string]string{"b": "right"}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, text := range tt.files {
				write(t, filepath.Join(dir, path), text)
			}
			err := compare(dir, objects)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
		})
	}
}

// TestLimitAsksForEveryByte has a server that closes every other connection, and one object
// that is cut into ranges.
func TestLimitAsksForEveryByte(t *testing.T) {
	objects := []object{{Key: "small/1", Size: 10}, {Key: "empty", Size: 0}, {Key: "large", Size: 2*limitRange + 5}}
	var mutex sync.Mutex
	sent, answers := map[string]int64{}, 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		answers++
		closing := answers%2 == 0
		mutex.Unlock()
		key := strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")
		if closing {
			w.Header().Set("Connection", "close")
		}
		for _, o := range objects {
			if o.Key != key {
				continue
			}
			c := &countingWriter{ResponseWriter: w, count: func(n int) {
				mutex.Lock()
				defer mutex.Unlock()
				sent[key] += int64(n)
			}}
			var from, to int64 = 0, o.Size - 1
			if header := r.Header.Get("Range"); header != "" {
				_, _ = fmt.Sscanf(header, "bytes=%d-%d", &from, &to)
			}
			w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
			_, _ = io.Copy(c, io.LimitReader(stream(1), to-from+1))
		}
	}))
	defer s.Close()
	manifest := filepath.Join(t.TempDir(), "manifest.json")
	text, err := json.Marshal(objects)
	if err != nil {
		t.Fatal(err)
	}
	write(t, manifest, string(text))
	if err := runLimit(t.Context(), strings.TrimPrefix(s.URL, "http://"), manifest, 2); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, o := range objects {
		if sent[o.Key] != o.Size {
			t.Errorf("%d bytes of %s were sent, want %d", sent[o.Key], o.Key, o.Size)
		}
	}
	objects[0].Size = 11
	if err := (&connection{address: "127.0.0.1:1"}).discard(t.Context(), nil, 1); err == nil {
		t.Error("nothing listens there, and there is no error")
	}
}

// TestSeedsDecideTheBytes: data that is kept from an earlier run is that of this one.
func TestSeedsDecideTheBytes(t *testing.T) {
	read := func(seed uint64) string {
		b := make([]byte, 64)
		_, _ = io.ReadFull(stream(seed), b)
		return string(b)
	}
	if again := read(1); again != read(1) || again == read(2) {
		t.Error("a seed does not decide the bytes")
	}
	var total int64
	keys := map[string]bool{}
	shapes := smallShapes(false)
	for _, s := range shapes {
		total += s.Size
		keys[s.Key] = true
	}
	if mean := total / int64(len(shapes)); len(keys) != 20_000 || mean < 15<<10 || mean > 17<<10 {
		t.Errorf("%d keys with %d bytes on average", len(keys), mean)
	}
	for _, s := range sets {
		text, err := json.Marshal(s.data.shapes(true))
		if err != nil || len(text) > 100_000 {
			t.Errorf("set %s is not short: %d bytes (%v)", s.name, len(text), err)
		}
	}
}

func TestAnEngineThatIsRefusedIsAbsent(t *testing.T) {
	for name, tt := range map[string]struct {
		report string
		absent bool
	}{
		"refused": {`{"class":"User","reason":"MoverBroken","message":"parse request: unknown transfer.engine \"Native\""}`, true},
		"crashed": {`{"class":"User","reason":"MoverBroken","message":"the mover crashed"}`, false},
		"failed":  {`{"class":"Retry","reason":"TransferFailed","message":"transfer.engine"}`, false},
		"killed":  {``, false},
	} {
		j := job{scratch: t.TempDir()}
		write(t, j.report(), tt.report)
		if got := absent(j); (got != "") != tt.absent {
			t.Errorf("%s: absent because of %q", name, got)
		}
	}
}
