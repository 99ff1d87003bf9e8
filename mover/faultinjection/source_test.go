// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/wire"
)

// TestAnObjectThatChangesAfterTheListing ends the attempt, and the next one loads what is
// there now.
func TestAnObjectThatChangesAfterTheListing(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, s *server, want map[string][]byte){
		"other bytes of the same size": func(t *testing.T, s *server, want map[string][]byte) {
			want[smallKey] = content(99, len(want[smallKey]))
			s.put(t, smallKey, want[smallKey], minio.PutObjectOptions{SendContentMd5: true})
		},
		"more bytes": func(t *testing.T, s *server, want map[string][]byte) {
			want[smallKey] = content(99, 2*len(want[smallKey]))
			s.put(t, smallKey, want[smallKey], minio.PutObjectOptions{SendContentMd5: true})
		},
		"deleted": func(t *testing.T, s *server, want map[string][]byte) {
			delete(want, smallKey)
			if err := os.Remove(filepath.Join(s.dir, smallKey)); err != nil {
				t.Error(err)
			}
		},
		"a large one with other bytes": func(t *testing.T, s *server, want map[string][]byte) {
			want[withChecksum] = content(99, largeSize)
			s.put(t, withChecksum, want[withChecksum], minio.PutObjectOptions{PartSize: 8 << 20, SendContentMd5: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withEngines(t, func(t *testing.T, engine string) {
				s := startServer(t)
				want := s.data(t, 10)
				var once sync.Once
				a := newAttempt(t, engine, startHandler(t, s, func(_ http.ResponseWriter, r *http.Request) bool {
					if keyOf(r.URL.Path) != "" { // The first object: the listing is over.
						once.Do(func() { change(t, s, want) })
					}
					return false
				}))
				a.options.IdleTimeout = time.Minute // More than a busy machine takes to change a large one.
				r := a.run(2*time.Minute, want)
				a.mustEnd(r, wire.SourceChanged)
				if !r.Class.Again() {
					t.Errorf("the class is %s, and nobody would try again", r.Class)
				}
				a.mustFinish(want)
			})
		})
	}
}

// TestATokenThatIsRenewed: the session ends while bytes come, and by then the mounted Secret
// has the next one.
func TestATokenThatIsRenewed(t *testing.T) {
	t.Parallel()
	withEngines(t, func(t *testing.T, engine string) {
		s := startServer(t)
		want := s.small(t, 60)
		var mutex sync.Mutex
		valid, gets := "first", 0
		var a *attempt
		renew := func() {
			valid = "second"
			token := filepath.Join(a.options.Paths.Credentials, "session_token")
			if err := os.WriteFile(token+".new", []byte(valid), 0o600); err != nil {
				t.Error(err)
			}
			if err := os.Rename(token+".new", token); err != nil {
				t.Error(err)
			}
		}
		a = newAttempt(t, engine, startHandler(t, s, func(w http.ResponseWriter, r *http.Request) bool {
			mutex.Lock()
			defer mutex.Unlock()
			if isGet(r, "") {
				gets++
				if gets == 10 {
					renew()
				}
			}
			return r.Header.Get(tokenHeader) != valid && s3Error(w, http.StatusForbidden, "ExpiredToken")
		}))
		token := filepath.Join(a.options.Paths.Credentials, "session_token")
		if err := os.WriteFile(token, []byte("first"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := a.run(2*time.Minute, want); r.Class != wire.Done {
			t.Errorf("the report is %+v", r)
		}
	})
}
