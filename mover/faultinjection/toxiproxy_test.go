// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/s3populator/s3populator/internal/testenv"
)

// network is a Toxiproxy before a server: what passes it can be broken while it runs. It does
// not heal in time: to take a toxic away it waits for the connections that suffer it. Later
// attempts ask the server itself.
type network struct {
	t       testing.TB
	api     string
	address string // Where the server seems to be.
}

// toxic is a fault of the network, of what the server sends; see Toxiproxy's own list.
type toxic struct {
	Name       string         `json:"name"`
	Type       string         `json:"type"`
	Stream     string         `json:"stream"`
	Attributes map[string]int `json:"attributes"`
}

func startNetwork(t testing.TB, upstream string) *network {
	t.Helper()
	api := freeAddress(t)
	host, port, err := net.SplitHostPort(api)
	if err != nil {
		t.Fatal(err)
	}
	start(t, []string{"LOG_LEVEL=error"}, testenv.Variable(t, "MOVER_TEST_TOXIPROXY"), "-host", host, "-port", port)
	n := &network{t: t, api: "http://" + api, address: freeAddress(t)}
	waitFor(t, time.Minute, "Toxiproxy answers", func() bool {
		res, err := http.Get(n.api + "/version")
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil
	})
	n.do(http.MethodPost, "/proxies", map[string]any{
		"name": "s3", "listen": n.address, "upstream": upstream, "enabled": true,
	})
	return n
}

func (n *network) do(method, path string, body any) {
	n.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		n.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.api+path, bytes.NewReader(text))
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer res.Body.Close()
	if said, _ := io.ReadAll(res.Body); res.StatusCode >= 300 {
		n.t.Fatalf("Toxiproxy answers %s to %s %s: %s", res.Status, method, path, said)
	}
}

// add breaks connections there are and those to come.
func (n *network) add(kind string, attributes map[string]int) {
	n.t.Helper()
	n.do(
		http.MethodPost,
		"/proxies/s3/toxics",
		toxic{Name: kind, Type: kind, Stream: "downstream", Attributes: attributes},
	)
}

// enable opens or closes the port, and closes all connections.
func (n *network) enable(yes bool) {
	n.t.Helper()
	n.do(http.MethodPost, "/proxies/s3", map[string]any{"enabled": yes})
}
