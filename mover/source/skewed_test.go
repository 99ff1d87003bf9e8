// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/wire"
)

// S3 says why it refuses a request in the body of its answer, which one to HEAD does not have. Where the clocks differ
// by what it does not bear, its own time says it.
func TestARefusalWithoutAReason(t *testing.T) {
	denied := func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) }
	keys := credentials.NewStaticV4("AK", "SK", "")
	for name, tt := range map[string]struct {
		ahead   time.Duration // The clock of the server.
		creds   *credentials.Credentials
		refuse  func(http.ResponseWriter)
		want    wire.Reason
		explain string
	}{
		"its clock is ahead":              {20 * time.Minute, keys, denied, wire.ClockSkewed, "apart"},
		"its clock is behind":             {-20 * time.Minute, keys, denied, wire.ClockSkewed, "apart"},
		"its clock is a little ahead":     {14 * time.Minute, keys, denied, wire.AccessDenied, "s3:GetObject"},
		"it does not say what time it is": {0, keys, denied, wire.AccessDenied, "s3:GetObject"},
		"nothing is signed": {
			20 * time.Minute, credentials.NewStaticV4("", "", ""), denied, wire.AccessDenied, "s3:GetObject",
		},
		"it has another reason": {20 * time.Minute, keys, func(w http.ResponseWriter) {
			w.Header().Set("X-Minio-Error-Code", "InvalidAccessKeyId")
			denied(w)
		}, wire.AccessDenied, "does not know the access key"},
		"the object is not there": {
			20 * time.Minute, keys, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, wire.SourceChanged, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodHead {
					t.Errorf("asked is %s %s", r.Method, r.URL)
				}
				w.Header()["Date"] = nil
				if tt.ahead != 0 {
					w.Header().Set("Date", time.Now().Add(tt.ahead).UTC().Format(http.TimeFormat))
				}
				tt.refuse(w)
			}))
			t.Cleanup(server.Close)
			through := (&Client{Identities: new(identities)}).throughAll(new(http.Transport))
			client, err := minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{
				Creds: tt.creds, Region: "us-east-1", Transport: through, MaxRetries: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.StatObject(t.Context(), "bucket", "key", minio.StatObjectOptions{})
			f := fault.Classifier{Source: wire.Source{Bucket: "bucket"}}.Classify(err)
			var response minio.ErrorResponse
			if !errors.As(err, &response) || f.Reason != tt.want || !strings.Contains(f.Message, tt.explain) {
				t.Errorf("%v is %s: %s, want %s with %q", err, f.Reason, f.Message, tt.want, tt.explain)
			}
		})
	}
}
