// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/plan"
	"github.com/s3populator/s3populator/mover/wire"
)

// explained asks S3 itself about a file that did not arrive for no reason we know: it
// answers in codes what mc passes on in words, or not at all.
func (l *listing) explained(ctx context.Context, f *fault.Failure, e plan.Entry) *fault.Failure {
	if (f.Reason == wire.AccessDenied || f.Reason == wire.CredentialsInvalid) && l.source.Renewed(ctx) {
		const text = "the keys were renewed while they were used, and S3 refuses the old ones"
		return fault.New(wire.TransferFailed, text).Because(errors.Join(fault.ErrExpired, f))
	}
	if skewed := l.skewed(ctx, f, e); skewed != nil {
		return skewed
	}
	if f.Reason != wire.TransferFailed || errors.Is(f, fault.ErrExpired) {
		return f
	}
	if err := l.readable(ctx, e); err != nil {
		if asked := l.faults.Classify(err); asked.Reason != wire.TransferFailed || !wordless(err) {
			return asked
		}
	}
	return f
}

// skewed is why S3 has refused mc if that is the time of its requests; nil where it is not. An answer to HEAD has no
// body, and so no code: mc takes it for denied.
func (l *listing) skewed(ctx context.Context, f *fault.Failure, e plan.Entry) *fault.Failure {
	var said *fault.PrintedError
	if f.Reason != wire.AccessDenied || !errors.As(f, &said) {
		return nil
	}
	if err := l.readable(ctx, e); err != nil {
		if asked := l.faults.Classify(err); asked.Reason == wire.ClockSkewed {
			return asked
		}
	}
	return nil
}

// wordless tells whether an answer said no more than its status, as one to HEAD does.
func wordless(err error) bool {
	var response minio.ErrorResponse
	return errors.As(err, &response) && strings.HasPrefix(response.Code, strconv.Itoa(response.StatusCode))
}

// readable reads the first byte of an object that should be as it was listed.
func (l *listing) readable(ctx context.Context, e plan.Entry) error {
	_, looked := l.source.Unchanged(ctx, l.plan, e)
	if looked != nil && !wordless(looked) && !fault.Rejected(looked, http.StatusForbidden) { // It may be another refusal.
		return looked
	}
	o := minio.GetObjectOptions{}
	l.source.Complete(e.Key, &o)
	if e.Size > 0 {
		if err := o.SetRange(0, 0); err != nil {
			return fmt.Errorf("read object: %w", err)
		}
	}
	body, err := l.source.S3.GetObject(ctx, l.request.Source.Bucket, e.Key, o)
	if err != nil {
		return fmt.Errorf("read object: %w", err)
	}
	defer func() { _ = body.Close() }()
	// One that is empty is asked for, too.
	if _, err := io.CopyN(io.Discard, body, 1); err != nil && (e.Size > 0 || !errors.Is(err, io.EOF)) {
		return fmt.Errorf("read object: %w", err)
	}
	return looked
}
