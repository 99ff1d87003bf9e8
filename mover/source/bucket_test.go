// SPDX-License-Identifier: Apache-2.0

package source

import (
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

func TestBucketURL(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source wire.Source
		region string
		want   string
	}{
		"a server of one's own": {wire.Source{Endpoint: "http://minio:9000"}, "", "http://minio:9000/bucket"},
		"with the bucket in the host": {
			wire.Source{Endpoint: "https://s3.example.com", Addressing: "VirtualHost"}, "", "https://bucket.s3.example.com",
		},
		"AWS": {wire.Source{}, "eu-west-1", "https://bucket.s3.dualstack.eu-west-1.amazonaws.com"},
		"AWS, by the path": {
			wire.Source{Addressing: "Path"},
			"eu-west-1",
			"https://s3.dualstack.eu-west-1.amazonaws.com/bucket",
		},
	} {
		tt.source.Bucket = "bucket"
		endpoint, err := parseEndpoint(tt.source)
		if err != nil {
			t.Fatal(err)
		}
		c := &Client{request: wire.Request{Source: tt.source}, Endpoint: endpoint, Region: tt.region}
		var r recorder
		if got, err := c.bucketURL(t.Context(), &r); err != nil || got.String() != tt.want {
			t.Errorf("%s: %v (%v), want %s", name, got, err, tt.want)
		}
		if r.asked != 1 { // Before each further one, the client rests for up to a second.
			t.Errorf("%s: it took %d requests", name, r.asked)
		}
	}
}
