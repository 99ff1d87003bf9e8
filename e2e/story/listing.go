// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
)

// Claiming makes listings name keys besides the honest ones, such as no real server of
// ours would store but S3 does. Each pretends to hold size bytes.
func Claiming(size int64, keys ...string) Fault {
	return Fault{Of: Lists, Do: func(w http.ResponseWriter, r *http.Request, honest http.Handler) {
		answer := httptest.NewRecorder()
		r.Header.Set("Accept-Encoding", "identity")
		honest.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if end := bytes.LastIndex(body, []byte("</ListBucketResult>")); end >= 0 && answer.Code == http.StatusOK {
			body = append(contents(size, keys, r.URL.Query().Get("encoding-type") == "url"), body[end:]...)
			body = append(bytes.Clone(answer.Body.Bytes()[:end]), body...)
		}
		maps.Copy(w.Header(), answer.Header())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
	}}
}

// contents are entries of a listing. Their order is the server's only promise that they
// break, which S3 clients do not rely on.
func contents(size int64, keys []string, encoded bool) []byte {
	var out bytes.Buffer
	for _, key := range keys {
		text := key
		if encoded {
			text = url.QueryEscape(key)
		}
		out.WriteString("<Contents><Key>")
		_ = xml.EscapeText(&out, []byte(text)) // a buffer takes everything
		fmt.Fprintf(
			&out,
			`</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&#34;d41d8cd98f00b204e9800998ecf8427e&#34;</ETag><Size>%d</Size><StorageClass>STANDARD</StorageClass></Contents>`,
			size,
		)
	}
	return out.Bytes()
}
