// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
)

// readOf is what a mover reads of a page.
type readOf struct {
	XMLName               xml.Name
	IsTruncated           string
	NextContinuationToken string
	Contents              []struct{ Key, Size, ETag string }
	CommonPrefixes        []struct{ Prefix string }
}

const ofS3 = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>` +
	`<Contents><Key>a&lt;LastModified&gt;</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>` +
	`<ETag>&#34;00&#34;</ETag><ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>` +
	`<Size>7</Size><Owner><ID>me</ID><DisplayName>m&amp;e</DisplayName></Owner>` +
	`<StorageClass>STANDARD</StorageClass></Contents>` +
	`<NextContinuationToken>next</NextContinuationToken></ListBucketResult>`

// FuzzLean: what is left of a page is read as all of it was, and a document that is none stays none.
func FuzzLean(f *testing.F) {
	for _, page := range []string{
		ofS3, "", "<", "<LastModified>", "<html><!-- <ID> --></html>",
		strings.Replace(ofS3, "2026-01-02T03:04:05.000Z", "<Contents><Key>b</Key></Contents>", 1),
		strings.Replace(ofS3, "</LastModified>", "", 1),
		strings.Replace(ofS3, "</ID>", "", 1),
		"<ListBucketResult><Contents><Key><![CDATA[<ID>b</ID>]]></Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a<ID>b</ID>c</Key></Contents></ListBucketResult>",
		"<ListBucketResult><Contents><Key>a</Key><LastModified>&#60;</LastModified></Contents></ListBucketResult>",
	} {
		f.Add(page)
	}
	f.Fuzz(func(t *testing.T, page string) {
		var before, after readOf
		if !strings.HasPrefix(outermost([]byte(page)), "List") || xml.Unmarshal([]byte(page), &before) != nil {
			return // It is no page before, and one that is broken in what nobody reads may be one after.
		}
		left := lean([]byte(page))
		if err := xml.Unmarshal(left, &after); err != nil || !reflect.DeepEqual(before, after) {
			t.Errorf("%q is read as %+v, and what is left of it, %q, as %+v (%v)", page, before, left, after, err)
		}
	})
}

// TestLeanIsShorter, or it would be of no use.
func TestLeanIsShorter(t *testing.T) {
	if left := string(lean([]byte(ofS3))); strings.Contains(left, "STANDARD") || strings.Contains(left, "2026") ||
		!strings.Contains(left, "<Size>7</Size><Owner></Owner></Contents>") {
		t.Errorf("left is %s", left)
	}
}
