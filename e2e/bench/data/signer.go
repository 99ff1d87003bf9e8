// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/s3populator/s3populator/e2e/story"
)

// signer makes whole GET requests with AWS Signature Version 4. The keys of the bench need
// no escaping in a path.
type signer struct {
	host, date, scope string
	key               []byte // Of the day.
}

const unsigned = "UNSIGNED-PAYLOAD"

func newSigner(host string, now time.Time) *signer {
	now = now.UTC()
	s := &signer{host: host, date: now.Format("20060102T150405Z")}
	day := now.Format("20060102")
	s.scope = day + "/" + story.Region + "/s3/aws4_request"
	s.key = []byte("AWS4" + secretKey)
	for part := range strings.SplitSeq(s.scope, "/") {
		s.key = mac(s.key, part)
	}
	return s
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *signer) request(p piece) []byte {
	path := "/" + bucket + "/" + p.key
	const names = "host;x-amz-content-sha256;x-amz-date"
	canonical := fmt.Sprintf("GET\n%s\n\nhost:%s\nx-amz-content-sha256:%s\nx-amz-date:%s\n\n%s\n%s",
		path, s.host, unsigned, s.date, names, unsigned)
	sum := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + s.date + "\n" + s.scope + "\n" + hex.EncodeToString(sum[:])
	signature := hex.EncodeToString(mac(s.key, text))
	var ranged string
	if !p.whole {
		ranged = fmt.Sprintf("Range: bytes=%d-%d\r\n", p.offset, p.offset+p.length-1)
	}
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Amz-Date: %s\r\nX-Amz-Content-Sha256: %s\r\n%s"+
		"Authorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s\r\n\r\n",
		path, s.host, s.date, unsigned, ranged, accessKey, s.scope, names, signature)
}
