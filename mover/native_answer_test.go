// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// otherHeaders stands before a server and changes the headers of its answers.
func otherHeaders(t *testing.T, s *s3server, change func(http.Header)) string {
	t.Helper()
	target, err := url.Parse(s.endpoint)
	mustDo(t, err)
	p := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error { change(r.Header); return nil },
	})
	t.Cleanup(p.Close)
	return p.URL
}

// TestAChecksumThatIsNoneOfTheObject: a gateway may keep what it was told of the object, or of a part of it. The
// entity tag says more, where it is a digest; where it is not, the object is not believed.
func TestAChecksumThatIsNoneOfTheObject(t *testing.T) {
	const ofNothing = "AAAAAAAAAAA="
	s := startVersity(t)
	objects := map[string][]byte{"single": content(1, 5000), "parts": content(2, 12<<20)}
	s.put(t, "single", objects["single"])
	s.putParts(t, "parts", objects["parts"], 5<<20)
	endpoint := otherHeaders(t, s, func(h http.Header) {
		withoutChecksums(h)
		h.Set("X-Amz-Checksum-Crc64nvme", ofNothing)
	})
	for _, name := range []string{wire.EngineMC, wire.EngineNative} {
		b := newBench(t, endpoint)
		b.request.Transfer.Engine = name
		b.mustBeDone(b.run())
		b.mustHold(objects)
	}
}

// TestARefusalWithoutWords: what S3 says to HEAD does not hide what it said to GET.
func TestARefusalWithoutWords(t *testing.T) {
	s := startVersity(t)
	s.put(t, "small", content(1, 5000))
	s.put(t, "large", content(2, 33<<20))
	p := startProxy(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case keyOf(r) == "":
			return false
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusBadRequest)
		default:
			s3Error(w, http.StatusBadRequest, "InvalidRequest")
		}
		return true
	})
	for _, name := range []string{wire.EngineMC, wire.EngineNative} {
		b := newBench(t, p.URL)
		b.request.Transfer.Engine = name
		if r := b.run(); r.Reason != wire.TransferFailed || !strings.Contains(r.Message, "InvalidRequest") {
			t.Errorf("%s: the report is %+v", name, r)
		}
	}
}
