// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

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
	binary := testenv.Variable(t, "MOVER_TEST_TOXIPROXY")
	api := testenv.Server(t, []string{"LOG_LEVEL=error"}, binary, func(address string) []string {
		host, port, _ := strings.Cut(address, ":")
		return []string{"-host", host, "-port", port}
	})
	n := &network{t: t, api: "http://" + api}
	var made struct {
		Listen string `json:"listen"` // With the port that was free.
	}
	answer := n.do(http.MethodPost, "/proxies", map[string]any{
		"name": "s3", "listen": "127.0.0.1:0", "upstream": upstream, "enabled": true,
	})
	if err := json.Unmarshal(answer, &made); err != nil || made.Listen == "" {
		t.Fatalf("Toxiproxy answers %s: %v", answer, err)
	}
	n.address = made.Listen
	return n
}

func (n *network) do(method, path string, body any) []byte {
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
	said, _ := io.ReadAll(res.Body)
	if res.StatusCode >= 300 {
		n.t.Fatalf("Toxiproxy answers %s to %s %s: %s", res.Status, method, path, said)
	}
	return said
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
