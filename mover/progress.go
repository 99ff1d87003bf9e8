// SPDX-License-Identifier: Apache-2.0

package mover

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/s3populator/s3populator/mover/fault"
	"github.com/s3populator/s3populator/mover/ledger"
	"github.com/s3populator/s3populator/mover/source"
	"github.com/s3populator/s3populator/mover/upload"
	"github.com/s3populator/s3populator/mover/wire"
)

// When progress is sent. Transfers shorter than the first delay send none; a
// manager that does not answer is asked ever more rarely.
const (
	progressFirst   = 2 * time.Second
	progressEvery   = 2 * time.Second
	progressLongest = time.Minute
	progressRarest  = 10 * time.Minute // However long the manager asks us to wait.
	progressTimeout = 5 * time.Second
	rateWindow      = 5 // Samples in the moving average: about ten seconds.
)

// progress counts and tells the manager. Nothing here may fail or slow a
// transfer: errors are dropped and the sender is a goroutine of its own.
type progress struct {
	url, tokenFile string
	client         *http.Client

	phase    atomic.Value // wire.Phase
	found    atomic.Int64 // Objects seen by the listing.
	inFlight atomic.Int64 // Bytes of files that are not verified yet.
	ledger   atomic.Pointer[ledger.Ledger]
	tally    atomic.Pointer[upload.Tally]         // Of an Export, instead of a ledger.
	arrived  atomic.Pointer[func() *wire.Arrived] // Of a Block volume that another mover can go on with.

	samples []sample
	// every is how often the manager wants to hear of us: more seldom, the more movers run.
	every time.Duration
}

type sample struct {
	at    time.Time
	bytes int64
}

func newProgress(p wire.Progress, tokenFile string) (*progress, error) {
	s := &progress{url: p.URL, tokenFile: tokenFile, every: progressEvery}
	s.phase.Store(wire.Listing)
	if p.URL == "" {
		return s, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(p.CABundle)) {
		return s, fault.New(wire.MoverBroken, "progress.caBundle holds no certificate")
	}
	s.client = &http.Client{
		Timeout: progressTimeout,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: false,
			MaxIdleConns:      1,
		},
	}
	return s, nil
}

func (s *progress) enter(phase wire.Phase) { s.phase.Store(phase) }

// tellArrived has snapshots tell what is on a Block volume.
func (s *progress) tellArrived(told func() *wire.Arrived) { s.arrived.Store(&told) }

func (s *progress) listed(n int64) { s.found.Add(n) }

// run sends snapshots until the context ends.
func (s *progress) run(ctx context.Context) {
	if s.client == nil {
		return
	}
	wait := progressFirst
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-timer.C:
			if err := s.send(ctx, s.snapshot(now)); err != nil {
				wait = max(min(2*max(wait, progressEvery), progressLongest), s.every)
			} else {
				wait = s.every
			}
			timer.Reset(wait)
		}
	}
}

// snapshot is the state of this moment.
func (s *progress) snapshot(now time.Time) wire.Snapshot {
	phase, _ := s.phase.Load().(wire.Phase)
	shot := wire.Snapshot{Phase: phase}
	if t := s.tally.Load(); t != nil {
		return s.exported(t, shot, now)
	}
	l := s.ledger.Load()
	if l == nil {
		shot.ObjectsDone = s.found.Load()
		return shot
	}
	if told := s.arrived.Load(); told != nil {
		shot.Arrived = (*told)()
	}
	shot.ObjectsDone, shot.BytesDone = l.Totals()
	shot.ObjectsTotal, shot.BytesTotal = int64(l.Plan.Entries.Len()), l.Plan.Bytes
	shot.BytesDone = min(shot.BytesDone+max(s.inFlight.Load(), 0), shot.BytesTotal)
	shot.BytesPerSecond = s.rate(sample{at: now, bytes: shot.BytesDone})
	return shot
}

// exported is the state of an Export. What is scanned counts as found.
func (s *progress) exported(t *upload.Tally, shot wire.Snapshot, now time.Time) wire.Snapshot {
	shot.ObjectsTotal, shot.BytesTotal = t.AllObjects.Load(), t.AllBytes.Load()
	shot.ObjectsDone = min(t.Objects.Load(), shot.ObjectsTotal)
	shot.BytesDone = min(max(t.Bytes.Load(), 0), shot.BytesTotal)
	shot.BytesPerSecond = s.rate(sample{at: now, bytes: shot.BytesDone})
	return shot
}

// rate is the mean over the last samples.
func (s *progress) rate(now sample) int64 {
	s.samples = append(s.samples, now)
	if len(s.samples) > rateWindow {
		s.samples = s.samples[1:]
	}
	first := s.samples[0]
	seconds := now.at.Sub(first.at).Seconds()
	if seconds <= 0 || now.bytes < first.bytes {
		return 0
	}
	return int64(float64(now.bytes-first.bytes) / seconds)
}

func (s *progress) send(ctx context.Context, shot wire.Snapshot) error {
	token, err := source.ReadSmall(s.tokenFile) // Each time: the kubelet rotates it.
	if err != nil {
		return err
	}
	body, err := json.Marshal(shot)
	if err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+wire.ProgressPath, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("send progress: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(request)
	if err != nil {
		return fmt.Errorf("send progress: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	_ = response.Body.Close()
	s.every = interval(response.Header)
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("send progress: %s", response.Status)
	}
	return nil
}

// interval that an answer asks for; that of few movers where it asks for none.
func interval(answer http.Header) time.Duration {
	seconds, err := strconv.Atoi(answer.Get(wire.ProgressEvery))
	if err != nil {
		return progressEvery
	}
	rarest := int(progressRarest / time.Second)
	return max(progressEvery, time.Duration(min(seconds, rarest))*time.Second)
}

// background runs the sender and returns what stops it.
func (s *progress) background(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	return func() { cancel(); wg.Wait() }
}
