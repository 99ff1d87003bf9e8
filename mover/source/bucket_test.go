// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/wire"
)

// directoryBucket is one of S3 Express One Zone.
const directoryBucket = "bucket--use1-az4--x-s3"

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
		"a directory bucket": {
			wire.Source{Endpoint: "https://s3express-control.us-east-1.amazonaws.com", Bucket: directoryBucket},
			"us-east-1",
			"https://" + directoryBucket + ".s3express-use1-az4.dualstack.us-east-1.amazonaws.com",
		},
	} {
		tt.source.Bucket = cmp.Or(tt.source.Bucket, "bucket")
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

// TestSigningService: S3 takes no request for one service that is signed for another.
func TestSigningService(t *testing.T) {
	t.Parallel()
	for endpoint, want := range map[string]string{
		"http://minio:9000":                                                     "s3",
		"https://s3.amazonaws.com":                                              "s3",
		"https://s3express-control.us-east-1.amazonaws.com":                     "s3express",
		"https://ap-1-012345678901.op-0123.s3-outposts.us-east-1.amazonaws.com": "s3-outposts",
	} {
		u, err := parseEndpoint(wire.Source{Endpoint: endpoint})
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Client{Endpoint: u}).SigningService(); got != want {
			t.Errorf("%s: %s, want %s", endpoint, got, want)
		}
	}
}

// TestADirectoryBucketHasSessions: S3 Express takes no other keys than those that it gives for a bucket.
func TestADirectoryBucketHasSessions(t *testing.T) {
	t.Parallel()
	of := wire.Source{Endpoint: "https://s3express-control.us-east-1.amazonaws.com", Bucket: directoryBucket}
	endpoint, err := parseEndpoint(of)
	if err != nil {
		t.Fatal(err)
	}
	const session = `<CreateSessionResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Credentials>` +
		`<AccessKeyId>SESSION</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken>` +
		`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>`
	s3 := &sequence{answers: []func() (*http.Response, error){
		answer(http.StatusOK, strings.NewReader(session)),
		func() (*http.Response, error) { return nil, errors.New("asked twice") },
	}}
	c := &Client{request: wire.Request{Source: of}, Endpoint: endpoint, Identities: identitiesFor(
		wire.Request{Credentials: wire.Credentials{Kind: wire.Anonymous}}, Mounts{}, nil, "",
	)}
	if c.S3, err = newClient(endpoint, of, credentials.NewStaticV4("a", "s", ""), s3, clientRetries); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		id, err := c.SigningIdentity(t.Context())
		if err != nil || id.AccessKey != "SESSION" || id.SecretKey.Reveal() != "secret" ||
			id.SessionToken.Reveal() != "token" {
			t.Fatalf("the keys are those of %q, %v", id.AccessKey, err)
		}
	}
	c.request.Source.Bucket = "bucket"
	if id, err := c.SigningIdentity(t.Context()); err != nil || id != (Identity{}) {
		t.Errorf("the keys of another bucket are those of %q, %v", id.AccessKey, err)
	}
}
