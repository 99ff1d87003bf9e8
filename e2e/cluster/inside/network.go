// SPDX-License-Identifier: Apache-2.0

package inside

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// links are commands of ip(8). The bridge carries nothing: it exists to hold
// the node's address. The default route lets packets to Service addresses get
// as far as kube-proxy's rules; others end at it, for nothing leaves here.
const links = `link set lo up
link add br0 type bridge
addr add ` + rundir.NodeAddress + `/24 dev br0
link set br0 up
route add default dev br0 src ` + rundir.NodeAddress + `
`

// connect sets up the node's own network namespace.
func connect(ctx context.Context, s *supervisor, spec rundir.Spec) error {
	if err := unix.Sethostname([]byte(rundir.NodeName)); err != nil {
		return fmt.Errorf("set the host name: %w", err)
	}
	if err := s.run(ctx, links, "ip", "-batch", "-"); err != nil {
		return fmt.Errorf("set up the network: %w", err)
	}
	settings := map[string]string{
		"ip_forward": "1",
		// The API server's port was free outside; inside, no connection may take it first.
		"ip_local_reserved_ports": strconv.Itoa(spec.Port),
	}
	for name, value := range settings {
		if err := os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644); err != nil {
			return fmt.Errorf("set net.ipv4.%s: %w", name, err)
		}
	}
	return nil
}
