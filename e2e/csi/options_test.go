// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	good := []string{"--endpoint=unix:///run/csi.sock", "--data=/data", "--node=n"}
	tests := map[string]struct {
		args    []string
		want    options
		wantErr string
	}{
		"the least": {args: good, want: options{socket: "/run/csi.sock", data: "/data", node: "n", capacity: 1 << 40}},
		"everything": {
			args: append([]string{
				"--registration-dir=/kubelet/plugins_registry", "--control=/run/control.sock", "--kubelet-root=/kubelet",
				"--capacity=5", "--verbose",
			}, good...),
			want: options{
				socket: "/run/csi.sock", register: "/kubelet/plugins_registry/d-reg.sock", control: "/run/control.sock",
				data: "/data", node: "n", kubeletRoot: "/kubelet", capacity: 5, verbose: true,
			},
		},
		"a release needs only the data": {
			args: []string{"--release", "--data=/data"},
			want: options{data: "/data", capacity: 1 << 40, release: true},
		},
		"no data directory":                  {args: good[:1], wantErr: "--data"},
		"a release without a data directory": {args: []string{"--release"}, wantErr: "--data"},
		"no endpoint":                        {args: good[1:], wantErr: "--endpoint"},
		"an endpoint that is no path": {
			args:    []string{"--endpoint=tcp://x", "--data=/data", "--node=n"},
			wantErr: "--endpoint",
		},
		"no node": {args: good[:2], wantErr: "--node"},
		"a socket path too long for Linux": {
			args:    append([]string{"--control=/" + strings.Repeat("x", 107)}, good...),
			wantErr: "socket path",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(test.args, io.Discard, "d")
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want one about %s", err, test.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatalf("parse: %v", err)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
		})
	}
}
