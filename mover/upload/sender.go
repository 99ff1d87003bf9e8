// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"encoding/hex"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"golang.org/x/time/rate"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// Setup is what an export needs to know besides its request.
type Setup struct {
	S3 *minio.Client
	// Once makes each request once. What it was not answered may still be done, and who asked for it has to know.
	Once   *minio.Client
	Faults fault.Classifier
	// Secure means TLS. Without it the signature covers a SHA-256 of what is sent.
	Secure bool
	// IdleTimeout is how long S3 may take nothing.
	IdleTimeout time.Duration
	// Pause before a request is made again; see again and sendBody.
	Pause time.Duration
	Tally *Tally
	// Shard is what ShardVariable holds, for a StepShard.
	Shard string
	Phase func(wire.Phase) // Is told of each but the first; nil tells nobody.
	Log   func(format string, args ...any)
}

// sender sends content to one bucket, and believes that it is there when S3 has confirmed its sum.
type sender struct {
	Setup

	core    minio.Core
	bucket  string
	options wire.ExportOptions
	limit   *rate.Limiter // nil: as fast as it goes.
	// opaqueTags means that an entity tag is no digest of what is read, whatever it looks like.
	opaqueTags bool
	payer      bool // The bucket that is read is Requester Pays.
	// byMD5 is set once S3 has answered without the CRC64NVME that it was sent: it knows none.
	byMD5 atomic.Bool
	// byCRC is set once S3 has confirmed one.
	byCRC atomic.Bool
	// noChecksums is set once S3 has refused a request for the checksum of an object, and answered without.
	noChecksums atomic.Bool
	// unconditional is set once S3 has said that it knows no If-None-Match.
	unconditional atomic.Bool
	// ended are looked for once more at the end.
	ended endings
}

func newSender(s Setup, r wire.Request) *sender {
	sender := &sender{Setup: s, core: minio.Core{Client: s.S3}, bucket: r.Source.Bucket, options: r.Export}
	sender.opaqueTags = plan.IsDirectoryBucket(sender.bucket) || r.Transfer.Verify == proof.VerifySize
	sender.payer = r.Source.RequestPayer
	if n := r.Transfer.BytesPerSecond; n > 0 {
		sender.limit = rate.NewLimiter(rate.Limit(n), limitStep)
	}
	return sender
}

// pays adds to a request that reads what accepts its costs.
func (s *sender) pays(o interface{ Set(name, value string) }) {
	if s.payer {
		o.Set("X-Amz-Request-Payer", "requester")
	}
}

// errChanged means that S3 received other bytes than were summed up before.
var errChanged = errors.New("the file changed while it was read")

// errUnconfirmed means that S3 does not know the checksum that it was sent.
var errUnconfirmed = errors.New("S3 did not confirm the checksum")

// object is what S3 holds of what was sent.
type object struct {
	etag     string // Without quotes.
	checksum string // CRC64NVME:base64 that S3 confirmed; empty where it knows none.
}

// put sends one object with one request.
func (s *sender) put(ctx context.Context, key string, c content, o minio.PutObjectOptions) (object, error) {
	result, err := s.putBy(ctx, key, c, o, s.byMD5.Load())
	if errors.Is(err, errUnconfirmed) {
		result, err = s.putBy(ctx, key, c, o, true)
	}
	return result, err
}

func (s *sender) putBy(
	ctx context.Context,
	key string,
	c content,
	o minio.PutObjectOptions,
	byMD5 bool,
) (object, error) {
	sum, err := c.sum(ctx, byMD5, !s.Secure)
	if err != nil {
		return object{}, err
	}
	if !byMD5 {
		o.UserMetadata = with(o.UserMetadata, crcHeader, sum.crc)
	}
	o.DisableContentSha256 = true // It is in the header.
	var info minio.UploadInfo
	err = s.sendBody(ctx, c, func(b *body) error {
		info, err = s.core.PutObject(b.ctx, s.bucket, key, b, c.size, sum.contentMD5(), sum.sha256, o)
		return err //nolint:wrapcheck // It is classified above.
	})
	if err := s.judge(err, info.ChecksumCRC64NVME, sum, byMD5); err != nil {
		return object{}, err
	}
	result := object{etag: plan.TrimETag(info.ETag)}
	if !byMD5 {
		result.checksum = checksumName + sum.crc
		return result, nil
	}
	return result, s.confirmTag(ctx, key, result.etag, sum.md5)
}

// judge says what the answer to content means.
func (s *sender) judge(err error, confirmed string, sum sums, byMD5 bool) error {
	var response minio.ErrorResponse
	switch {
	case errors.As(err, &response) && slices.Contains(badDigests, response.Code):
		return errors.Join(errChanged, err)
	case err != nil && !byMD5 && !s.byCRC.Load() && notUnderstood(err):
		s.byMD5.Store(true)
		return errors.Join(errUnconfirmed, err)
	case err != nil, byMD5:
		return err
	case confirmed == sum.crc:
		s.byCRC.Store(true)
		return nil
	case confirmed == "":
		s.byMD5.Store(true)
		return errUnconfirmed
	}
	return fault.New(wire.VerificationFailed, "S3 received other bytes than were sent: it says %s%s, the file %s",
		checksumName, plan.Quote(confirmed), sum.crc)
}

// badDigests are the codes of S3 for bytes that have another sum.
var badDigests = []string{
	"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidChecksum",
}

// notUnderstood tells that a server refuses a request as such, perhaps for a header that it does not know.
func notUnderstood(err error) bool {
	return fault.Rejected(err, http.StatusBadRequest) || fault.Rejected(err, http.StatusNotImplemented)
}

// confirmTag compares an entity tag with the MD5 that was sent. Where S3 says that the tag is no
// digest, the header has been proof: S3 refuses content that does not come to its Content-MD5.
func (s *sender) confirmTag(ctx context.Context, key, etag string, want []byte) error {
	if etag == hex.EncodeToString(want) || len(etag) != hex.EncodedLen(len(want)) || plan.IsDirectoryBucket(s.bucket) {
		return nil
	}
	info, err := s.stat(ctx, key, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	if strings.HasPrefix(info.Metadata.Get("X-Amz-Server-Side-Encryption"), "aws:kms") {
		return nil
	}
	return fault.New(
		wire.VerificationFailed,
		"S3 received other bytes than were sent: its entity tag is %s, the MD5 of the file %s",
		plan.Quote(etag),
		hex.EncodeToString(want),
	)
}

// putOptions are those of the objects of files.
func (s *sender) putOptions() minio.PutObjectOptions {
	o := s.ownOptions()
	o.StorageClass, o.UserTags = s.options.StorageClass, s.options.Tags
	if s.options.OnExisting == wire.Fail {
		o.UserMetadata = map[string]string{runMetadata: s.options.Run}
	}
	return o
}

// runMetadata is the name under which an object says which run it is of, where none may be there before: the next
// attempt finds what this one has sent, and perhaps what somebody else has written since.
const runMetadata = "S3populator-Run"

// with is a copy of metadata with one more value.
func with(metadata map[string]string, name, value string) map[string]string {
	more := maps.Clone(metadata)
	if more == nil {
		more = map[string]string{}
	}
	more[name] = value
	return more
}

// ownOptions are those of what we keep ourselves: it must be readable at once, whatever the class of
// storage of the files.
func (s *sender) ownOptions() minio.PutObjectOptions {
	return minio.PutObjectOptions{ServerSideEncryption: s.encryption()}
}

func (s *sender) encryption() encrypt.ServerSide {
	switch s.options.Encryption.Type {
	case wire.EncryptAES256:
		return encrypt.NewSSE()
	case wire.EncryptKMS:
		if sse, err := encrypt.NewSSEKMS(s.options.Encryption.KMSKeyID, nil); err == nil {
			return sse // It fails for an encryption context alone.
		}
	}
	return nil
}

// isNoSuchKey also holds for a HEAD, whose answer has no code.
func isNoSuchKey(err error) bool {
	code := minio.ToErrorResponse(err).Code
	return code == minio.NoSuchKey || code != minio.NoSuchBucket && code != minio.NoSuchUpload &&
		fault.Rejected(err, http.StatusNotFound)
}
