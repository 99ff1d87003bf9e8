// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"os"
	"sync/atomic"
	"time"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// reloadInterval is how often mounted files are read again. A kubelet takes up to a minute
// to bring a renewed Secret, and cert-manager renews with a third of the life left.
const reloadInterval = 5 * time.Second

// files serves what is mounted.
type files struct {
	names Files
	pair  *cmtls.FileCertificateSource
	ca    atomic.Pointer[[]byte]
}

// newFiles never gives up on unreadable files: the pair that was read last stays good
// until it expires, and a process that ends would serve nothing.
func newFiles(names Files) *files {
	return &files{names: names, pair: &cmtls.FileCertificateSource{
		CertPath: names.CertFile, KeyPath: names.KeyFile, UpdateInterval: reloadInterval, MaxFailures: math.MaxInt,
	}}
}

func (f *files) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(log.IntoContext(ctx, log.FromContext(ctx).WithName("certs")))
	group.Go(func() error { return f.pair.Start(ctx) })
	group.Go(func() error { return f.reloadCA(ctx) })
	return group.Wait()
}

func (f *files) reloadCA(ctx context.Context) error {
	tick := time.NewTicker(f.pair.UpdateInterval)
	defer tick.Stop()
	for {
		if err := f.readCA(); err != nil {
			log.FromContext(ctx).Error(err, "Cannot read the CA; movers get the previous one")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (f *files) readCA() error {
	text, err := os.ReadFile(f.names.CAFile)
	if err != nil {
		return fmt.Errorf("read CA: %w", err)
	}
	if len(parse(text)) == 0 {
		return fmt.Errorf("read CA: %s holds no certificate in PEM", f.names.CAFile)
	}
	f.ca.Store(&text)
	return nil
}

func (f *files) certificate() (*tls.Certificate, error) {
	c, err := f.pair.GetCertificate(nil)
	if err != nil {
		return nil, fmt.Errorf("serve %s and %s: %w", f.names.CertFile, f.names.KeyFile, err)
	}
	return c, nil
}

func (f *files) trusted() []byte {
	if text := f.ca.Load(); text != nil {
		return *text
	}
	return nil
}

func (f *files) ready() error {
	_, err := f.certificate()
	return err
}
