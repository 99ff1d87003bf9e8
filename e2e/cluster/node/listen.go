// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"

	"github.com/s3populator/s3populator/e2e/cluster/netns"
	"github.com/s3populator/s3populator/e2e/cluster/rundir"
)

// Listen accepts, in this process, connections that pods make to the node's address, on
// any free port.
func (n *Node) Listen(ctx context.Context) (net.Listener, error) {
	l, err := netns.Listen(ctx, n.state.Init.PID, net.JoinHostPort(rundir.NodeAddress, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen inside the node: %w", err)
	}
	return l, nil
}
