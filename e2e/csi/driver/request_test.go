// SPDX-License-Identifier: Apache-2.0

package driver

import (
	"testing"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/s3populator/s3populator/e2e/csi/store"
)

func TestSize(t *testing.T) {
	tests := map[string]struct {
		required, limit int64
		block           bool
		want            int64
		wantCode        codes.Code
	}{
		"a whole number of MiB is kept":                {required: 64 * mib, want: 64 * mib},
		"one byte more takes the next MiB":             {required: 64*mib + 1, want: 65 * mib},
		"a tiny file system gets the least that works": {required: 1, want: 8 * mib},
		"a tiny block device is one MiB":               {required: 1, block: true, want: mib},
		"no size means the default":                    {want: defaultBytes},
		"no size and a small limit means the limit":    {limit: 16 * mib, want: 16 * mib},
		"a limit that rounding would exceed is refused": {
			required: 64*mib + 1,
			limit:    64*mib + 2,
			wantCode: codes.OutOfRange,
		},
		"a limit below the least that works is refused":    {required: mib, limit: 2 * mib, wantCode: codes.OutOfRange},
		"a limit below the required size is refused":       {required: 2 * mib, limit: mib, wantCode: codes.InvalidArgument},
		"a negative size is refused":                       {required: -1, wantCode: codes.InvalidArgument},
		"a limit equal to the required size is good":       {required: 32 * mib, limit: 32 * mib, want: 32 * mib},
		"a limit far above the required size has no say":   {required: 32 * mib, limit: 1 << 40, want: 32 * mib},
		"a block device of one MiB may be limited to that": {required: mib, limit: mib, block: true, want: mib},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := size(&csi.CapacityRange{RequiredBytes: test.required, LimitBytes: test.limit}, test.block)
			if got != test.want || status.Code(err) != test.wantCode {
				t.Errorf("got %d, %v; want %d, %s", got, err, test.want, test.wantCode)
			}
		})
	}
}

func TestInodeRatio(t *testing.T) {
	tests := map[string]struct {
		in       map[string]string
		want     int64
		wantCode codes.Code
	}{
		"nothing set is the usual ratio":   {},
		"what the sidecar adds is ignored": {in: map[string]string{"csi.storage.k8s.io/pvc/name": "data"}},
		"a ratio in range is taken":        {in: map[string]string{"bytesPerInode": "65536"}, want: 65536},
		"a ratio out of range is refused": {
			in:       map[string]string{"bytesPerInode": "512"},
			wantCode: codes.InvalidArgument,
		},
		"a ratio that is no number": {
			in:       map[string]string{"bytesPerInode": "many"},
			wantCode: codes.InvalidArgument,
		},
		"a misspelled parameter is refused": {
			in:       map[string]string{"bytesperinode": "65536"},
			wantCode: codes.InvalidArgument,
		},
		"a foreign parameter is refused also": {in: map[string]string{"type": "gp3"}, wantCode: codes.InvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := inodeRatio(test.in)
			if got != test.want || status.Code(err) != test.wantCode {
				t.Errorf("got %d, %v; want %d, %s", got, err, test.want, test.wantCode)
			}
		})
	}
}

func TestCheckAttributes(t *testing.T) {
	tests := map[string]struct {
		in       map[string]string
		wantCode codes.Code
	}{
		"none":                 {},
		"a known tier":         {in: map[string]string{"tier": "fast"}},
		"an unknown tier":      {in: map[string]string{"tier": "gold"}, wantCode: codes.InvalidArgument},
		"an unknown attribute": {in: map[string]string{"iops": "3000"}, wantCode: codes.InvalidArgument},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := checkAttributes(test.in); status.Code(err) != test.wantCode {
				t.Errorf("got %v, want %s", err, test.wantCode)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	on := func(nodes ...string) (topologies []*csi.Topology) {
		for _, node := range nodes {
			topologies = append(topologies, &csi.Topology{Segments: map[string]string{TopologyKey: node}})
		}
		return topologies
	}
	tests := map[string]struct {
		in       *csi.TopologyRequirement
		wantCode codes.Code
	}{
		"no requirement":        {},
		"our node among others": {in: &csi.TopologyRequirement{Requisite: on("a", "here")}},
		"our node preferred":    {in: &csi.TopologyRequirement{Preferred: on("here")}},
		"other nodes only": {
			in:       &csi.TopologyRequirement{Requisite: on("a", "b")},
			wantCode: codes.ResourceExhausted,
		},
		"a label this driver does not know": {
			in:       &csi.TopologyRequirement{Requisite: []*csi.Topology{{Segments: map[string]string{"zone": "z"}}}},
			wantCode: codes.ResourceExhausted,
		},
		"a requirement of any place at all":  {in: &csi.TopologyRequirement{Requisite: []*csi.Topology{{}}}},
		"a requirement without any topology": {in: &csi.TopologyRequirement{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := reachable(test.in, "here"); status.Code(err) != test.wantCode {
				t.Errorf("got %v, want %s", err, test.wantCode)
			}
		})
	}
}

func TestSame(t *testing.T) {
	base := store.Volume{
		ID:            "v",
		CapacityBytes: 64 * mib,
		AccessModes:   []string{"A"},
		Parameters:    map[string]string{"p": "1"},
	}
	tests := map[string]struct {
		change   func(*store.Volume)
		limit    int64
		wantCode codes.Code
	}{
		"the same request":            {change: func(*store.Volume) {}},
		"a smaller size is satisfied": {change: func(v *store.Volume) { v.CapacityBytes = 32 * mib }},
		"a larger size is not": {
			change:   func(v *store.Volume) { v.CapacityBytes = 65 * mib },
			wantCode: codes.AlreadyExists,
		},
		"a limit below what exists": {
			change:   func(v *store.Volume) { v.CapacityBytes = 32 * mib },
			limit:    33 * mib,
			wantCode: codes.AlreadyExists,
		},
		"another kind": {change: func(v *store.Volume) { v.Block = true }, wantCode: codes.AlreadyExists},
		"another access mode": {
			change:   func(v *store.Volume) { v.AccessModes = []string{"B"} },
			wantCode: codes.AlreadyExists,
		},
		"another source": {
			change:   func(v *store.Volume) { v.Origin.Snapshot = "s" },
			wantCode: codes.AlreadyExists,
		},
		"another parameter": {
			change:   func(v *store.Volume) { v.Parameters = nil },
			wantCode: codes.AlreadyExists,
		},
		"attributes may have changed": {
			change: func(v *store.Volume) { v.Attributes = map[string]string{"tier": "fast"} },
		},
		"the creation time has no weight": {change: func(v *store.Volume) { v.CreatedAt = v.CreatedAt.AddDate(1, 0, 0) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			wanted := base
			test.change(&wanted)
			err := same(base, wanted, &csi.CapacityRange{LimitBytes: test.limit})
			if status.Code(err) != test.wantCode {
				t.Errorf("got %v, want %s", err, test.wantCode)
			}
		})
	}
}

func TestPage(t *testing.T) {
	tests := map[string]struct {
		total, limit     int
		token            string
		wantFrom, wantTo int
		wantNext         string
		wantCode         codes.Code
	}{
		"everything at once":                {total: 5, wantTo: 5},
		"the first page":                    {total: 5, limit: 2, wantTo: 2, wantNext: "2"},
		"the last page":                     {total: 5, limit: 2, token: "4", wantFrom: 4, wantTo: 5},
		"a page that ends at the end":       {total: 4, limit: 2, token: "2", wantFrom: 2, wantTo: 4},
		"a token from before a deletion":    {total: 1, token: "3", wantCode: codes.Aborted},
		"a token that is none":              {total: 1, token: "x", wantCode: codes.Aborted},
		"a negative number of entries":      {total: 1, limit: -1, wantCode: codes.InvalidArgument},
		"nothing to list is one empty page": {},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			from, to, next, err := page(test.total, test.token, test.limit)
			if from != test.wantFrom || to != test.wantTo || next != test.wantNext || status.Code(err) != test.wantCode {
				t.Errorf("got %d:%d %q %v", from, to, next, err)
			}
		})
	}
}
