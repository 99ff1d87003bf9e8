// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

// request names n objects whose keys have size bytes that do not compress.
func request(n, size int) wire.Request {
	r := wire.Request{Operation: wire.Inventory, Source: wire.Source{Bucket: "b"}}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-_."
	random := rand.New(rand.NewPCG(1, 2))
	for range n {
		key := make([]byte, size)
		for i := range key {
			key[i] = letters[random.IntN(len(letters))]
		}
		r.Source.Objects = append(r.Source.Objects, wire.Object{Key: string(key)})
	}
	return r
}

func TestArguments(t *testing.T) {
	t.Parallel()
	odd := request(0, 0)
	for i := range 1000 {
		odd.Source.Objects = append(
			odd.Source.Objects,
			wire.Object{Key: fmt.Sprintf("<a&b>\"%d ü \n", i), Path: strings.Repeat("x", i)},
		)
	}
	for name, tt := range map[string]struct {
		r    wire.Request
		many bool
	}{
		"a prefix":                 {request(0, 0), false},
		"one object":               {request(1, 1024), false},
		"a thousand keys of 1 KiB": {request(1000, 1024), true},
		"a thousand odd keys":      {odd, true},
		"just too large for one":   {request(33, 1024), true},
		"as large as one may be":   {request(30, 1024), false},
		"many keys that are all alike": {
			wire.Request{Operation: wire.Inventory, Source: wire.Source{Bucket: "b", Objects: make([]wire.Object, 20_000)}},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args, err := tt.r.EncodeArgs()
			if err != nil {
				t.Fatal(err)
			}
			if plain := strings.HasPrefix(args[0], "{"); plain == tt.many {
				t.Errorf("the first argument is plain JSON: %v", plain)
			}
			total := 0
			for _, a := range args {
				total += len(a) + 1
				if len(a) >= 128<<10 {
					t.Errorf("an argument has %d bytes", len(a))
				}
			}
			if total >= 1200<<10 {
				t.Errorf("the arguments have %d bytes together", total)
			}
			got, err := wire.ParseArgs(args)
			if err != nil || !reflect.DeepEqual(got, tt.r) {
				t.Errorf("another request was read (%v)", err)
			}
		})
	}
}

func TestARequestThatIsTooLargeNamesItsField(t *testing.T) {
	t.Parallel()
	_, err := request(2000, 1024).EncodeArgs()
	if err == nil || !strings.Contains(err.Error(), "spec.objects") || !strings.Contains(err.Error(), "spec.prefix") {
		t.Errorf("the error is %v", err)
	}
}

func TestDamagedArgumentsAreRefused(t *testing.T) {
	t.Parallel()
	whole, err := request(1000, 1024).EncodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	other, err := request(999, 1024).EncodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if len(whole) < 4 || len(other) != len(whole) {
		t.Fatalf("%d and %d pieces", len(whole), len(other))
	}
	change := func(f func(args []string) []string) []string { return f(append([]string(nil), whole...)) }
	for name, args := range map[string][]string{
		"nothing":              nil,
		"the last is missing":  whole[:len(whole)-1],
		"the first is missing": whole[1:],
		"one alone":            whole[:1],
		"two are exchanged":    change(func(a []string) []string { a[1], a[2] = a[2], a[1]; return a }),
		"one is there twice":   change(func(a []string) []string { a[1] = a[2]; return a }),
		"one of another":       change(func(a []string) []string { a[1] = other[1]; return a }),
		"one byte is another": change(func(a []string) []string {
			b := []byte(a[1])
			b[len(b)-1] ^= 1
			a[1] = string(b)
			return a
		}),
		"one is cut":           change(func(a []string) []string { a[1] = a[1][:len(a[1])-8]; return a }),
		"one is JSON":          change(func(a []string) []string { a[1] = "{}"; return a }),
		"two plain ones":       {`{"operation":"Inventory","source":{"bucket":"b"}}`, `{}`},
		"a mark without a sum": {"s3populator-request/1 1/1"},
		"a mark and no data":   {"s3populator-request/1 1/1  "},
	} {
		if r, err := wire.ParseArgs(args); err == nil {
			t.Errorf("%s: read %d objects", name, len(r.Source.Objects))
		}
	}
}
