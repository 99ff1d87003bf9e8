// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// pollInterval is how often Wait asks again. A question costs the driver microseconds.
const pollInterval = 20 * time.Millisecond

// maxErrorBytes bounds how much of an answer is put into an error.
const maxErrorBytes = 4096

// Client talks to one driver.
type Client struct {
	http *http.Client
}

// New makes a client for the control socket at path.
func New(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", path)
	}
	return &Client{http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// Health tells whether the driver answers and is registered.
func (c *Client) Health(ctx context.Context) (health Health, err error) {
	err = c.call(ctx, http.MethodGet, "/health", nil, &health)
	return health, err
}

// Add adds a rule and returns its id.
func (c *Client) Add(ctx context.Context, rule Rule) (string, error) {
	var added Rule
	err := c.call(ctx, http.MethodPost, "/rules", rule, &added)
	return added.ID, err
}

// Remove removes a rule, and lets the calls go on that it holds or delays.
func (c *Client) Remove(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/rules/"+url.PathEscape(id), nil, nil)
}

// Reset removes every rule of a namespace; empty means every rule there is.
func (c *Client) Reset(ctx context.Context, namespace string) error {
	return c.call(ctx, http.MethodDelete, "/rules"+in(namespace), nil, nil)
}

// Calls counts the calls so far, by method, for volumes of a namespace; empty means all calls.
func (c *Client) Calls(ctx context.Context, namespace string) (counts map[string]Count, err error) {
	err = c.call(ctx, http.MethodGet, "/calls"+in(namespace), nil, &counts)
	return counts, err
}

// Volumes lists the volumes that were provisioned for claims of a namespace; empty means all volumes.
func (c *Client) Volumes(ctx context.Context, namespace string) (volumes []Volume, err error) {
	err = c.call(ctx, http.MethodGet, "/volumes"+in(namespace), nil, &volumes)
	return volumes, err
}

// Devices lists the loop devices that show an image of this driver, also one whose volume is deleted.
func (c *Client) Devices(ctx context.Context) (devices []string, err error) {
	err = c.call(ctx, http.MethodGet, "/devices", nil, &devices)
	return devices, err
}

// Wipe unmounts and removes every volume and snapshot of a namespace, used or not; empty means all.
// Pods that use them lose their data.
func (c *Client) Wipe(ctx context.Context, namespace string) error {
	return c.call(ctx, http.MethodDelete, "/volumes"+in(namespace), nil, nil)
}

// Wait asks until condition is true or the context ends, for example until a held call has arrived:
//
//	err := client.Wait(ctx, namespace, func(calls map[string]fault.Count) bool { return calls[fault.CreateVolume].Waiting == 1 })
func (c *Client) Wait(ctx context.Context, namespace string, condition func(map[string]Count) bool) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		calls, err := c.Calls(ctx, namespace)
		if err != nil {
			return err
		}
		if condition(calls) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for calls of the driver, which has seen %+v: %w", calls, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func in(namespace string) string {
	if namespace == "" {
		return ""
	}
	return "?namespace=" + url.QueryEscape(namespace)
}

// call sends body as JSON, if there is one, and decodes the answer into result, if there is one.
func (c *Client) call(ctx context.Context, method, path string, body, result any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://csi"+path, &content)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("ask the driver: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode/100 != 2 {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxErrorBytes))
		if err != nil {
			return fmt.Errorf("read the driver's error: %w", err)
		}
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, bytes.TrimSpace(text))
	}
	if result == nil {
		return nil
	}
	if err := json.NewDecoder(response.Body).Decode(result); err != nil {
		return fmt.Errorf("decode the driver's answer: %w", err)
	}
	return nil
}
