// SPDX-License-Identifier: Apache-2.0

// Package registration tells the kubelet that a CSI driver exists, by the socket that the kubelet's
// plugin watcher expects. It refuses to know anything about the driver but its name and its socket.
package registration

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	registerv1 "k8s.io/kubelet/pkg/apis/pluginregistration/v1"

	"github.com/s3populator/s3populator/e2e/csi/fault"
)

// csiVersion is what the kubelet compares with the versions of CSI that it speaks; every 1.x driver says this.
const csiVersion = "1.0.0"

// Server answers the kubelet's plugin watcher.
type Server struct {
	registerv1.UnimplementedRegistrationServer
	driver, socket string

	mu     sync.Mutex
	health fault.Health
}

// New makes a server for a driver that listens on the socket at path.
func New(driver, path string) *Server {
	return &Server{driver: driver, socket: path}
}

// Register adds the registration service to a gRPC server.
func (s *Server) Register(server *grpc.Server) {
	registerv1.RegisterRegistrationServer(server, s)
}

// GetInfo names the driver and its socket.
func (s *Server) GetInfo(context.Context, *registerv1.InfoRequest) (*registerv1.PluginInfo, error) {
	return &registerv1.PluginInfo{
		Type: registerv1.CSIPlugin, Name: s.driver, Endpoint: s.socket, SupportedVersions: []string{csiVersion},
	}, nil
}

// NotifyRegistrationStatus records what the kubelet decided. It tries again by itself while the
// socket exists, so a refusal is kept for whoever asks and is not the end.
func (s *Server) NotifyRegistrationStatus(
	_ context.Context, result *registerv1.RegistrationStatus,
) (*registerv1.RegistrationStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health = fault.Health{Registered: result.GetPluginRegistered(), RegistrationError: result.GetError()}
	return &registerv1.RegistrationStatusResponse{}, nil
}

// Health tells what the kubelet decided last.
func (s *Server) Health() fault.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}
