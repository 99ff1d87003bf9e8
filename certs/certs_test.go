// SPDX-License-Identifier: Apache-2.0

package certs

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestOptionsAreChecked(t *testing.T) {
	good := func() Options {
		return Options{
			Namespace:   "s3populator-system",
			SecretName:  "s3populator-ca",
			ServiceName: "s3populator",
			RESTConfig:  &rest.Config{},
			Now:         time.Now,
		}
	}
	tests := map[string]struct {
		change  func(*Options)
		wantErr string
	}{
		"the defaults are good": {change: func(*Options) {}},
		"durations of seconds are good": {
			change: func(o *Options) { o.CADuration, o.LeafDuration = LeastCADuration, LeastLeafDuration },
		},
		"files need nothing else": {
			change: func(o *Options) { *o = Options{Files: Files{CertFile: "a", KeyFile: "b", CAFile: "c"}} },
		},
		"half a set of files": {change: func(o *Options) { o.Files.CertFile = "a" }, wantErr: "KeyFile"},
		"no namespace":        {change: func(o *Options) { o.Namespace = "" }, wantErr: "Namespace is empty"},
		"no Secret":           {change: func(o *Options) { o.SecretName = "" }, wantErr: "SecretName is empty"},
		"no Service": {
			change:  func(o *Options) { o.ServiceName = "" },
			wantErr: "ServiceName is empty",
		},
		"no API server": {change: func(o *Options) { o.RESTConfig = nil }, wantErr: "RESTConfig"},
		"no clock":      {change: func(o *Options) { o.Now = nil }, wantErr: "Now"},
		"a CA shorter than the look-out": {
			change:  func(o *Options) { o.CADuration, o.LeafDuration = 30*time.Second, 6*time.Second },
			wantErr: "CADuration",
		},
		"a leaf that outlives its CA": {
			change:  func(o *Options) { o.CADuration, o.LeafDuration = time.Hour, 30*time.Minute },
			wantErr: "three times",
		},
		"a leaf too short for a hand-over": {
			change:  func(o *Options) { o.CADuration, o.LeafDuration = time.Hour, time.Second },
			wantErr: "LeafDuration",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := good()
			tt.change(&o)
			_, err := New(o)
			if tt.wantErr == "" && err != nil || tt.wantErr != "" && (err == nil || !strings.Contains(err.Error(), tt.wantErr)) {
				t.Errorf("New: %v, want an error with %q", err, tt.wantErr)
			}
		})
	}
}
