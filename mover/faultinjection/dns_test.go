// SPDX-License-Identifier: Apache-2.0

package faultinjection

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/internal/testenv"
)

// names is a server of DNS that says what holds at the moment, and for no longer.
type names struct {
	mutex     sync.Mutex
	addresses map[string][4]byte
}

// startNames has this process, and those that it starts, ask it alone.
func startNames(t testing.TB) *names {
	t.Helper()
	conn := listenForNames(t)
	n := &names{addresses: map[string][4]byte{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.serve(conn)
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+host+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		testenv.Skipf(t, "there is nothing to mount over: %v", err)
	}
	if err := unix.Mount(file, target, "", unix.MS_BIND, ""); err != nil {
		testenv.Skipf(t, "mount %s: %v", target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
	return n
}

// listenForNames takes an address of loopback that no other test has: there is but one port for names.
func listenForNames(t testing.TB) net.PacketConn {
	t.Helper()
	var err error
	for i := range 20 {
		pid := os.Getpid() + i<<8
		address := fmt.Sprintf("127.77.%d.%d:53", pid>>8&0xff, pid&0xff)
		var conn net.PacketConn
		if conn, err = net.ListenPacket("udp4", address); err == nil {
			return conn
		}
	}
	testenv.Skipf(t, "listen for names: %v", err)
	return nil
}

// set is what a name means from now on.
func (n *names) set(name string, address [4]byte) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.addresses[name+"."] = address
}

func (n *names) serve(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply, err := n.reply(buffer[:size]); err == nil {
			_, _ = conn.WriteTo(reply, from)
		}
	}
}

// reply knows addresses of IPv4 only.
func (n *names) reply(query []byte) ([]byte, error) {
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil, err
	}
	q, err := p.Question()
	if err != nil {
		return nil, err
	}
	n.mutex.Lock()
	address, known := n.addresses[q.Name.String()]
	n.mutex.Unlock()
	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: h.ID, Response: true, Authoritative: true,
			RecursionDesired: h.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case !known:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}, Body: &dnsmessage.AResource{A: address},
		}}
	}
	return m.Pack()
}
