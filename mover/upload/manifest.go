// SPDX-License-Identifier: Apache-2.0

package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/manifest"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/proof"
	"github.com/s3populator/s3populator/mover/wire"
)

// errUnreadable means that there is a manifest that says nothing to us.
var errUnreadable = errors.New("the manifest cannot be used")

// errDamaged means that a manifest came with other bytes than S3 says that it has, each time.
var errDamaged = errors.New("it does not come to the checksum or the entity tag that S3 tells of it")

// readManifest returns the manifest under a key, and the entity tag of its object; false where there is none.
func (s *sender) readManifest(
	ctx context.Context,
	key string,
) (manifest.Manifest, string, bool, error) {
	m, info, found, err := s.manifestAt(ctx, key)
	return m, info.ETag, found, err
}

// manifestAt also returns what S3 says of the object.
func (s *sender) manifestAt(
	ctx context.Context,
	key string,
) (m manifest.Manifest, info minio.ObjectInfo, found bool, err error) {
	info, found, err = s.readAt(ctx, key, func(from io.Reader) (err error) {
		m, err = manifest.Read(from)
		return err //nolint:wrapcheck // It says what failed.
	})
	return m, info, found, err
}

// readAt has the manifest under a key read. Where the connection breaks, or other bytes come than S3 has, read is
// called anew, with its beginning.
func (s *sender) readAt(
	ctx context.Context,
	key string,
	read func(io.Reader) error,
) (info minio.ObjectInfo, found bool, err error) {
	err = s.again(ctx, func(ctx context.Context) error {
		body, answer, err := s.open(ctx, key)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		info = answer
		return s.readProven(body, info, read)
	})
	if isNoSuchKey(err) {
		return info, false, nil
	}
	if err != nil {
		return info, false, fmt.Errorf("read %s: %w", plan.Quote(key), err)
	}
	return info, true, nil
}

// open asks for an object and, unless the server is known to refuse that, for its checksum. It is compared here, and
// not by the client, which would hand over an error as if the connection had broken.
func (s *sender) open(ctx context.Context, key string) (io.ReadCloser, minio.ObjectInfo, error) {
	var o, plain minio.GetObjectOptions
	s.pays(&o)
	s.pays(&plain)
	asks := !s.noChecksums.Load()
	if asks {
		o.Set("X-Amz-Checksum-Mode", "ENABLED")
	}
	body, info, _, err := s.core.GetObject(ctx, s.bucket, key, o)
	if !asks || !notUnderstood(err) {
		return body, info, err //nolint:wrapcheck // It is classified above.
	}
	body, info, _, plainErr := s.core.GetObject(ctx, s.bucket, key, plain)
	if plainErr != nil && !isNoSuchKey(plainErr) {
		return nil, info, err //nolint:wrapcheck // As above: it was not for the checksum.
	}
	s.noChecksums.Store(true)
	return body, info, plainErr //nolint:wrapcheck // As above.
}

// readProven has what S3 answers read, and compares it with what S3 says of it. The digest of a manifest is that of its
// regular files alone: links, modes and whatever else it holds are in no other sum.
func (s *sender) readProven(body io.Reader, info minio.ObjectInfo, read func(io.Reader) error) error {
	watched, said := &watched{from: body}, proof.SaidOf(info, s.opaqueTags)
	text := io.TeeReader(watched, said)
	err := read(text)
	if errors.Is(err, manifest.ErrTooLong) { // There may be terabytes more, and no sum makes it one that we have left.
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	if watched.err == nil { // What was not read is part of the sum.
		_, _ = io.Copy(io.Discard, text)
	}
	switch {
	case watched.err != nil:
		return errors.Join(err, watched.err)
	case said.Denies():
		return fmt.Errorf("%w: %w", errUnreadable, errDamaged)
	case err != nil: // The connection is not to blame.
		return fmt.Errorf("%w: %w", errUnreadable, err)
	}
	return nil
}

// Seen tells which manifest is below a prefix from another one, as far as what S3 says of it does.
type Seen struct {
	There bool

	tag      string // Empty where none was told: some gateways tell one with the content alone, or never.
	size     int64  // Negative where none was told.
	modified time.Time
}

func seenOf(o minio.ObjectInfo) Seen {
	return Seen{There: true, tag: plan.TrimETag(o.ETag), size: o.Size, modified: o.LastModified}
}

// Is tells that both are the same manifest: whatever both answers have told of it is the same.
func (s Seen) Is(o Seen) bool {
	return s.There == o.There && s.modified.Equal(o.modified) && (s.tag == o.tag || s.tag == "" || o.tag == "") &&
		(s.size == o.size || s.size < 0 || o.size < 0)
}

// SeeManifest looks which manifest of a complete export is below a prefix. Who lists the objects afterwards, and then
// reads the very same one, knows that no run has begun to write meanwhile: it would have moved that away first.
func SeeManifest(ctx context.Context, r wire.Request, s Setup, prefix string) (Seen, error) {
	info, err := newSender(s, r).stat(ctx, prefix+manifest.Key, minio.StatObjectOptions{})
	switch {
	case isNoSuchKey(err):
		return Seen{}, nil
	case err != nil:
		return Seen{}, fmt.Errorf("look at the manifest: %w", err)
	}
	return seenOf(info), nil
}

// ReadManifest has the manifest of a complete export below a prefix read, and tells which it was. Read may be called
// more than once, each time with the whole of it; what it made of it counts only where there is no error.
func ReadManifest(
	ctx context.Context,
	r wire.Request,
	s Setup,
	prefix string,
	read func(io.Reader) error,
) (Seen, error) {
	info, found, err := newSender(s, r).readAt(ctx, prefix+manifest.Key, read)
	switch {
	case errors.Is(err, errDamaged):
		return Seen{}, fault.New(wire.VerificationFailed, "the manifest of the export below prefix %s is damaged: %v; look "+
			"at the network and the storage of S3, or name another run", plan.Quote(prefix), errDamaged).Because(err)
	case errors.Is(err, errUnreadable):
		return Seen{}, fault.New(wire.RequestRejected, "the export below prefix %s cannot be restored: %v",
			plan.Quote(prefix), err).Because(err)
	case err != nil || !found:
		return Seen{}, err
	}
	return seenOf(info), nil
}

// watched notes the error of a reader.
type watched struct {
	from interface{ Read(p []byte) (int, error) }
	err  error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil && !isEnd(err) {
		w.err = err
	}
	return n, err //nolint:wrapcheck // It is handed through.
}
