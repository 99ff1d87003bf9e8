// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"

	"github.com/s3populator/s3populator/e2e/csi/control"
	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/e2e/csi/registration"
)

// headerTimeout bounds how long a test may take to send the head of a request.
const headerTimeout = 10 * time.Second

// serve runs the driver until the context ends.
func serve(ctx context.Context, o options, log *slog.Logger) error {
	if err := os.MkdirAll(o.data, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	rules := &control.Rules{}
	d, err := driver.New(driver.Options{
		Data: o.data, Node: o.node, KubeletRoot: o.kubeletRoot, Capacity: o.capacity, Shortfall: rules.Shortfall,
	})
	if err != nil {
		return fmt.Errorf("open driver: %w", err)
	}
	interceptor := &control.Interceptor{Rules: rules, Owner: d.Owner, Log: log}
	services := grpc.NewServer(grpc.UnaryInterceptor(interceptor.Intercept))
	d.Register(services)
	kubelet := registration.New(driver.Name, o.socket)
	registrations := grpc.NewServer()
	kubelet.Register(registrations)
	handler := (&control.Server{Interceptor: interceptor, Volumes: d, Health: kubelet.Health}).Handler()

	// The kubelet calls the driver as soon as it sees the registration socket, so that one comes last.
	return runAll(ctx, []server{
		grpcServer(o.socket, services),
		httpServer(o.control, handler),
		grpcServer(o.register, registrations),
	}, log)
}

// server listens on a socket until it is stopped.
type server struct {
	path  string
	serve func(net.Listener) error
	stop  func()
}

func grpcServer(path string, s *grpc.Server) server {
	return server{path: path, serve: s.Serve, stop: s.Stop}
}

func httpServer(path string, handler http.Handler) server {
	s := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	serve := func(l net.Listener) error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
	return server{path: path, serve: serve, stop: func() { _ = s.Close() }} // the process ends; nothing is lost.
}

// runAll listens on every socket that has a path, until the context ends or one of them fails.
func runAll(ctx context.Context, servers []server, log *slog.Logger) error {
	ended := make(chan error, len(servers))
	for _, s := range servers {
		if s.path == "" {
			continue
		}
		listener, err := listen(ctx, s.path)
		if err != nil {
			return err
		}
		defer s.stop() //nolint:gocritic // Each serves until all end.
		go func() { ended <- s.serve(listener) }()
		log.Info("Listening", "socket", s.path)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	}
}

// listen opens a socket, over the one that a killed driver left.
func listen(ctx context.Context, path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { // the kubelet's directories are as open.
		return nil, fmt.Errorf("make socket directory: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return listener, nil
}
