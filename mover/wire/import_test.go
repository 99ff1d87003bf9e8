// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/mover/wire"
)

func importing() wire.Request {
	return wire.Request{
		Operation: wire.Import,
		Source:    wire.Source{Bucket: "b", Prefix: "models/", Include: []string{"**/*.bin"}},
		Volume:    wire.Volume{Mode: wire.Filesystem, ClaimUID: "c-1", TargetPath: "models/beta"},
		Import:    wire.ImportOptions{Run: "r-1", DeleteExtra: true},
	}
}

func TestAnImportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	args, err := importing().EncodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.ParseArgs(args); err != nil || !reflect.DeepEqual(got, importing()) {
		t.Errorf("%+v was read as %+v (%v)", importing(), got, err)
	}
}

func TestParseRequestRefusesAnImportWithoutMeaning(t *testing.T) {
	t.Parallel()
	objects := []wire.Object{{Key: "k", Path: "name"}}
	for name, test := range map[string]struct {
		change  func(*wire.Request)
		wantErr string
	}{
		"as it is":                    {func(*wire.Request) {}, ""},
		"to the root of the volume":   {func(r *wire.Request) { r.Volume.TargetPath = "" }, ""},
		"dots that are part of names": {func(r *wire.Request) { r.Volume.TargetPath = "..a/b..c" }, ""},
		"one object to a file's name": {
			func(r *wire.Request) { r.Source.Objects, r.Import.DeleteExtra = objects, false },
			"",
		},

		"a device":                        {func(r *wire.Request) { r.Volume.Mode = wire.Block }, "volume.mode Block"},
		"no volume":                       {func(r *wire.Request) { r.Volume = wire.Volume{} }, "volume.mode"},
		"no claim":                        {func(r *wire.Request) { r.Volume.ClaimUID = "" }, "volume.claimUID"},
		"a volume that is ours":           {func(r *wire.Request) { r.Volume.Began = true }, "volume.began"},
		"out of the volume":               {func(r *wire.Request) { r.Volume.TargetPath = "a/../../b" }, "volume.targetPath"},
		"no run":                          {func(r *wire.Request) { r.Import.Run = "" }, "import.run"},
		"a run that is a path":            {func(r *wire.Request) { r.Import.Run = "../x" }, "import.run"},
		"a list that deletes what is not": {func(r *wire.Request) { r.Source.Objects = objects }, "import.deleteExtra"},
		"a population":                    {func(r *wire.Request) { r.Operation = wire.Populate }, "import is set"},
		"an inventory":                    {func(r *wire.Request) { r.Operation = wire.Inventory }, "import is set"},
		"an export besides":               {func(r *wire.Request) { r.Export.Run = "r" }, "export is set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := importing()
			test.change(&r)
			arg, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			_, err = wire.ParseRequest(arg)
			switch {
			case test.wantErr == "" && err != nil:
				t.Errorf("ParseRequest: %v, want no error", err)
			case test.wantErr != "" && (err == nil || !strings.Contains(err.Error(), test.wantErr)):
				t.Errorf("ParseRequest: %v, want an error with %q", err, test.wantErr)
			}
		})
	}
}
