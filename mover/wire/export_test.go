// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/s3populator/s3populator/mover/wire"
)

func export() wire.Request {
	return wire.Request{
		Operation: wire.Export,
		Source:    wire.Source{Bucket: "b", Prefix: "runs/1/", Include: []string{"**/*.bin"}},
		Volume:    wire.Volume{Mode: wire.Filesystem, ClaimUID: "c-1", TargetPath: "models/beta"},
		Export: wire.ExportOptions{
			Run:          "r-1",
			OnExisting:   wire.SkipIdentical,
			UnsafePaths:  wire.Skip,
			DeleteExtra:  true,
			DryRun:       true,
			StorageClass: "STANDARD_IA",
			Encryption:   wire.Encryption{Type: wire.EncryptKMS, KMSKeyID: "k"},
			Tags:         map[string]string{"team": "a<b"},
			CopyFrom:     "runs/0/",
		},
	}
}

func TestAnExportIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	args, err := export().EncodeArgs()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := wire.ParseArgs(args); err != nil || !reflect.DeepEqual(got, export()) {
		t.Errorf("%+v was read as %+v (%v)", export(), got, err)
	}
}

func TestParseRequestRefusesAnExportWithoutMeaning(t *testing.T) {
	t.Parallel()
	oneKey := func(r *wire.Request) {
		r.Source.Prefix, r.Export.CopyFrom, r.Export.DeleteExtra, r.Export.Key = "", "", false, "a/b.bin"
	}
	step := func(r *wire.Request, s wire.Step, shards int, plan string) {
		r.Export.DryRun, r.Export.Step, r.Export.Shards, r.Export.Plan = false, s, shards, plan
	}
	for name, test := range map[string]struct {
		change  func(*wire.Request)
		wantErr string
	}{
		"as it is":                  {func(*wire.Request) {}, ""},
		"one key":                   {oneKey, ""},
		"to the root of the bucket": {func(r *wire.Request) { r.Source.Prefix = "" }, ""},
		"defaults":                  {func(r *wire.Request) { r.Export = wire.ExportOptions{Run: "r"} }, ""},

		"a device":          {func(r *wire.Request) { r.Volume.Mode = wire.Block }, "volume.mode"},
		"no volume":         {func(r *wire.Request) { r.Volume = wire.Volume{} }, "volume.mode"},
		"no claim":          {func(r *wire.Request) { r.Volume.ClaimUID = "" }, "volume.claimUID"},
		"a copy":            {func(r *wire.Request) { r.Volume.Temporary, r.Volume.AsOf = "t-1", time.Unix(1, 0) }, ""},
		"a copy of no time": {func(r *wire.Request) { r.Volume.Temporary = "t-1" }, "volume.asOf"},
		"a time of no copy": {func(r *wire.Request) { r.Volume.AsOf = time.Unix(1, 0) }, "volume.temporary"},
		"a copy of no UID": {
			func(r *wire.Request) { r.Volume.Temporary, r.Volume.AsOf = "/", time.Unix(1, 0) }, "is not a UID",
		},
		"no run":             {func(r *wire.Request) { r.Export.Run = "" }, "export.run"},
		"another onExisting": {func(r *wire.Request) { r.Export.OnExisting = wire.Skip }, "export.onExisting"},
		"another policy":     {func(r *wire.Request) { r.Export.UnsafePaths = wire.Allow }, "export.unsafePaths"},
		"another encryption": {func(r *wire.Request) { r.Export.Encryption.Type = "ROT13" }, "export.encryption.type"},
		"a key for AES256": {
			func(r *wire.Request) { r.Export.Encryption.Type = wire.EncryptAES256 },
			"export.encryption.kmsKeyID",
		},
		"named objects": {func(r *wire.Request) { r.Source.Objects = []wire.Object{{Key: "k"}} }, "source.objects"},
		"a raw prefix":  {func(r *wire.Request) { r.Source.PrefixMode = "Literal" }, "source.prefixMode"},
		"half a prefix": {func(r *wire.Request) { r.Source.Prefix = "runs/1" }, "source.prefix"},
		"half a prefix to copy from": {
			func(r *wire.Request) { r.Export.CopyFrom = "runs/0" },
			"export.copyFrom",
		},
		"a copy from itself":    {func(r *wire.Request) { r.Export.CopyFrom = "runs/1/" }, "export.copyFrom"},
		"a key and a prefix":    {func(r *wire.Request) { r.Export.Key = "k" }, "export.key excludes"},
		"a key of a directory":  {func(r *wire.Request) { oneKey(r); r.Export.Key = "k/" }, "export.key"},
		"a key and deleteExtra": {func(r *wire.Request) { oneKey(r); r.Export.DeleteExtra = true }, "export.key excludes"},
		"an end to one":         {func(r *wire.Request) { r.Operation, r.Volume = wire.Abort, wire.Volume{} }, ""},
		"an end to none":        {func(r *wire.Request) { r.Operation, r.Export.Run = wire.Abort, "" }, "export.run"},
		"the reader's payment":  {func(r *wire.Request) { r.Source.RequestPayer = true }, "source.requestPayer"},
		"a plan":                {func(r *wire.Request) { step(r, wire.StepPlan, 8, "") }, ""},
		"a plan once more":      {func(r *wire.Request) { step(r, wire.StepPlan, 8, "sha256:1") }, ""},
		"a plan of no shards":   {func(r *wire.Request) { step(r, wire.StepPlan, 0, "") }, "export.shards"},
		"a plan of too many":    {func(r *wire.Request) { step(r, wire.StepPlan, wire.MostShards+1, "") }, "export.shards"},
		"a shard":               {func(r *wire.Request) { step(r, wire.StepShard, 0, "sha256:1") }, ""},
		"a shard of no plan":    {func(r *wire.Request) { step(r, wire.StepShard, 0, "") }, "export.plan"},
		"a shard of shards":     {func(r *wire.Request) { step(r, wire.StepShard, 2, "sha256:1") }, "export.shards"},
		"an end of a plan":      {func(r *wire.Request) { step(r, wire.StepFinish, 0, "sha256:1") }, ""},
		"an end of no plan":     {func(r *wire.Request) { step(r, wire.StepFinish, 0, "") }, "export.plan"},
		"a plan for one mover":  {func(r *wire.Request) { step(r, "", 0, "sha256:1") }, "export.plan"},
		"another step":          {func(r *wire.Request) { step(r, "Burn", 0, "") }, "export.step"},
		"a step of one key":     {func(r *wire.Request) { step(r, wire.StepPlan, 8, ""); oneKey(r) }, "export.step excludes"},
		"a step of a dry run": {
			func(r *wire.Request) { step(r, wire.StepPlan, 8, ""); r.Export.DryRun = true }, "export.step excludes",
		},
		"a step of an end": {
			func(r *wire.Request) { step(r, wire.StepPlan, 8, ""); r.Operation = wire.Abort }, "export.step is set",
		},
		"a population": {func(r *wire.Request) { r.Operation = wire.Populate }, "export is set"},
		"an inventory": {func(r *wire.Request) { r.Operation = wire.Inventory }, "export is set"},
		"a removal":    {func(r *wire.Request) { prune(r) }, ""},
		"an export that removes": {
			func(r *wire.Request) { prune(r); r.Operation = wire.Export; r.Volume = export().Volume },
			"prune is set",
		},
		"a removal of no run":          {func(r *wire.Request) { prune(r); r.Export.Run = "" }, "export.run"},
		"a removal of a bucket":        {func(r *wire.Request) { prune(r); r.Source.Prefix = "" }, "source.prefix is empty"},
		"a removal of one object":      {func(r *wire.Request) { prune(r); oneKey(r) }, "export.key is set"},
		"a removal for nobody":         {func(r *wire.Request) { prune(r); r.Prune.Claim = "" }, "prune.claim"},
		"a removal by any manifest":    {func(r *wire.Request) { prune(r); r.Prune.Digest = "" }, "prune.digest"},
		"a removal of the only run":    {func(r *wire.Request) { prune(r); r.Prune.Kept = nil }, "the only complete run"},
		"a removal of what stays":      {func(r *wire.Request) { stay(r).Run = r.Export.Run }, "the run itself"},
		"a removal of a shared prefix": {func(r *wire.Request) { stay(r).Prefix = "runs/1/" }, "same prefix"},
		"a stay in half a prefix":      {func(r *wire.Request) { stay(r).Prefix = "runs/2" }, "end in a slash"},
		"a stay of any content":        {func(r *wire.Request) { stay(r).Digest = "" }, "is no run"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := export()
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

// prune makes of an export the removal of what it has sent.
func prune(r *wire.Request) {
	r.Operation, r.Volume = wire.Prune, wire.Volume{}
	r.Prune = wire.PruneOptions{
		Claim: "c-1", Digest: "sha256:1", Kept: []wire.KeptRun{{Run: "e-2", Prefix: "runs/2/", Digest: "sha256:2"}},
	}
}

// stay is the run that stays, of such a removal.
func stay(r *wire.Request) *wire.KeptRun {
	prune(r)
	return &r.Prune.Kept[0]
}
