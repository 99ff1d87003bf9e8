// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
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
	return otherAnswers(t, s, func(r *http.Response) { change(r.Header) })
}

// otherAnswers stands before a server and changes its answers.
func otherAnswers(t *testing.T, s *s3server, change func(*http.Response)) string {
	t.Helper()
	target, err := url.Parse(s.endpoint)
	mustDo(t, err)
	p := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error { change(r); return nil },
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

// TestMinIOThatCompressesAndEncrypts: it promises ranges of such objects and gives nothing.
func TestMinIOThatCompressesAndEncrypts(t *testing.T) {
	t.Setenv("MINIO_KMS_SECRET_KEY", "key:"+strings.Repeat("A", 43)+"=")
	for _, name := range []string{"KMS_AUTO_ENCRYPTION", "COMPRESSION_ENABLE", "COMPRESSION_ALLOW_ENCRYPTION"} {
		t.Setenv("MINIO_"+name, "on")
	}
	s := startMinIO(t)
	image := bytes.Repeat([]byte("it can be compressed well. "), 33<<20/27+1)
	s.put(t, "image.txt", image)
	filesystem := newBench(t, s.endpoint)
	filesystem.request.Transfer.Engine = wire.EngineNative
	filesystem.mustBeDone(filesystem.run())
	filesystem.mustHold(map[string][]byte{"image.txt": image})

	block := blockBench(t, s.endpoint, 40<<20)
	block.request.Transfer.Engine = wire.EngineNative
	block.mustBeDone(block.run())
	block.mustBeOnDevice(image)
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

// TestAnotherEntityTagThanListed: an object that S3 gives by another entity tag than it lists is never taken for the
// listed one, even though S3 has agreed to the condition. Who compares contents may find that it is.
func TestAnotherEntityTagThanListed(t *testing.T) {
	s := startVersity(t)
	objects := map[string][]byte{"small": content(1, 5000), "large": content(2, 33<<20)}
	for key, body := range objects {
		s.put(t, key, body)
	}
	for key, body := range objects {
		endpoint := otherAnswers(t, s, func(r *http.Response) {
			if r.Request.Method == http.MethodGet && keyOf(r.Request) == key {
				r.Header.Set("ETag", `"0123456789abcdef0123456789abcdef"`)
				withoutChecksums(r.Header)
			}
		})
		for _, bench := range []*bench{newBench(t, endpoint), blockBench(t, endpoint, 40<<20)} {
			bench.request.Source.Objects = []wire.Object{{Key: key, Path: key}}
			bench.request.Transfer.Engine = wire.EngineNative
			r := bench.run()
			if r.Reason != wire.SourceChanged || !strings.Contains(r.Message, "another entity tag") {
				t.Errorf("%s: the report is %+v", key, r)
			}
		}
		b := newBench(t, endpoint)
		b.request.Source.Objects = []wire.Object{{Key: key, Path: key}}
		b.request.Transfer.Engine = wire.EngineMC
		b.mustBeDone(b.run())
		b.mustHold(map[string][]byte{key: body})
	}
}
