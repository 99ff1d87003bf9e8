// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/s3populator/s3populator/mover/plan"
)

// NewTransport makes a transport that trusts and reaches what spec.tls and the variables of
// the pod say, for requests of one's own.
func (c *Client) NewTransport() *http.Transport {
	return newTransport(rootPool(c.Bundles), c.request.TLS.InsecureSkipVerify)
}

// SigningRegion is what requests are signed for: where S3 tells no region of a bucket, its
// imitations expect this one.
func (c *Client) SigningRegion() string {
	if c.Region == "" {
		return "us-east-1"
	}
	return c.Region
}

// SigningService is the name of the service that requests are signed for.
func (c *Client) SigningService() string {
	switch {
	case s3utils.IsAmazonExpressRegionalEndpoint(*c.Endpoint):
		return signer.ServiceTypeS3Express
	case s3utils.IsAmazonOutpostsEndpoint(*c.Endpoint):
		return signer.ServiceTypeS3Outposts
	}
	return signer.ServiceTypeS3
}

// SigningIdentity is whose keys requests are signed with: those of the source, or for a directory bucket those
// of a session that S3 gives for some minutes, and the client again when it ends.
func (c *Client) SigningIdentity(ctx context.Context) (Identity, error) {
	bucket := c.request.Source.Bucket
	if c.SigningService() != signer.ServiceTypeS3Express || !plan.IsDirectoryBucket(bucket) {
		return c.Identities.Get(ctx)
	}
	session, err := c.S3.CreateSession(ctx, bucket, minio.SessionReadWrite) // As the client does when it lists.
	if err != nil {
		return Identity{}, fmt.Errorf("create session: %w", err)
	}
	return Identity{
		AccessKey:    session.AccessKeyID,
		SecretKey:    newSecret(session.SecretAccessKey),
		SessionToken: newSecret(session.SessionToken),
	}, nil
}

// recorder is a transport that keeps the URL of a request and sends nothing. It answers that there is no such
// object: after an error, the client would wait and ask again.
type recorder struct {
	url   *url.URL
	asked int
}

func (r *recorder) RoundTrip(request *http.Request) (*http.Response, error) {
	r.url = request.URL
	r.asked++
	return &http.Response{
		StatusCode: http.StatusNotFound, Status: http.StatusText(http.StatusNotFound), Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: http.Header{}, Body: http.NoBody, Request: request,
	}, nil
}

// BucketURL is where the client asks for an object, without a slash and its key. Which hosts
// take the bucket in their name, and which endpoints of AWS stand for others, minio-go knows.
func (c *Client) BucketURL(ctx context.Context) (*url.URL, error) {
	return c.bucketURL(ctx, &recorder{})
}

func (c *Client) bucketURL(ctx context.Context, r *recorder) (*url.URL, error) {
	of := c.request.Source
	of.Region = c.SigningRegion() // Spares the question for it.
	// For a session of a directory bucket it asks at the same place, and only somebody.
	client, err := newClient(c.Endpoint, of, credentials.NewStaticV4("anybody", "nothing", ""), r, clientRetries)
	if err != nil {
		return nil, err
	}
	_, err = client.StatObject(ctx, of.Bucket, "key", minio.StatObjectOptions{})
	if r.url == nil {
		return nil, fmt.Errorf("make the URL of the bucket: %w", err)
	}
	u := *r.url
	u.Path, u.RawPath, u.RawQuery = path.Dir(u.Path), "", ""
	if u.Path == "/" {
		u.Path = ""
	}
	return &u, nil
}
