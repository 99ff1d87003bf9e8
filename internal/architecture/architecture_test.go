// SPDX-License-Identifier: Apache-2.0

// Package architecture_test keeps what the folders promise each other: which way imports
// point, what the data path is free of, and how large a file may grow. It holds no code.
package architecture_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/s3populator/s3populator"

// program is what `go list -deps` tells of one package.
type program struct {
	ImportPath string
	Standard   bool
	GoFiles    []string // Without those of tests.
	Imports    []string // Without those of tests.
	Deps       []string // All that is linked with it.
}

// constraint is one promise: packages below from never reach a package that is forbidden.
type constraint struct {
	from string
	// forbidden judges an import path; imports of the same program are its business.
	forbidden func(path string) bool
	// direct looks at the package's own imports only, not at what those import.
	direct bool
	// alone leaves out the packages below, which are judged as any other.
	alone bool
	why   string
}

// covers tells that a package is one of those that the promise is about.
func (c constraint) covers(path string) bool {
	return path == module+"/"+c.from || !c.alone && ours(c.from)(path)
}

var constraints = map[string]constraint{
	"the mover imports no Kubernetes package": {
		from: "mover", forbidden: below("k8s.io", "sigs.k8s.io"),
		why: "it runs in tenants' pods and must stay small",
	},
	"the command of the mover imports no Kubernetes package": {
		from: "cmd/mover", forbidden: below("k8s.io", "sigs.k8s.io"),
		why: "it runs in tenants' pods and must stay small",
	},
	"the mover knows nothing of the manager": {
		from: "mover", forbidden: ours("api", "populator", "internal", "certs", "webhook", "cmd"),
		why: "what it is told is in mover/wire",
	},
	"fault knows only wire": {
		from: "mover/fault", direct: true, forbidden: roomsBut("wire"), why: "it says what an error means, whoever met it",
	},
	"the plan of a mover is pure": {
		from: "mover/plan", direct: true, forbidden: roomsBut("fault", "wire"),
		why: "a listing goes in and a plan comes out",
	},
	"the manifest of an export is pure": {
		from: "mover/manifest", direct: true, forbidden: roomsBut("plan", "fault", "wire"),
		why: "it reads and writes streams, whoever has them",
	},
	"the upload knows no engine and no population": {
		from: "mover/upload", direct: true, forbidden: roomsBut("manifest", "plan", "proof", "fault", "wire"),
		why: "it never writes on a volume",
	},
	"restoring knows no source": {
		from: "mover/restore", direct: true, forbidden: roomsBut("manifest", "plan", "volume", "fault", "wire"),
		why: "it comes after every byte is there",
	},
	"the source knows no volume": {
		from: "mover/source", direct: true, forbidden: roomsBut("plan", "fault", "wire"), why: "the mover joins them",
	},
	"the volume knows no source": {
		from: "mover/volume", direct: true, forbidden: roomsBut("plan", "fault", "wire"), why: "the mover joins them",
	},
	"the proof knows neither volume nor engine": {
		from: "mover/proof", direct: true, forbidden: roomsBut("plan", "fault", "wire"),
		why: "how content is compared does not depend on who brought it",
	},
	"the ledger knows neither proof nor engine": {
		from: "mover/ledger", direct: true, forbidden: roomsBut("plan", "fault", "wire"),
		why: "it notes methods of comparison and knows none",
	},
	"the interface of engines knows neither an engine nor a volume": {
		from: "mover/engine", direct: true, alone: true, forbidden: roomsBut("proof", "plan", "fault", "wire"),
		why: "it says what is asked of any engine, and what its evidence proves",
	},
	"mc knows no volume, no proof and no other engine": {
		from: "mover/engine/mc", direct: true, forbidden: roomsBut("engine", "source", "plan", "fault", "wire"),
		why: "an engine brings bytes, and never says that a file is verified",
	},
	"the engine of our own knows no volume, no source and no proof": {
		from: "mover/engine/native", direct: true, forbidden: roomsBut("engine", "plan", "fault", "wire"),
		why: "it is given a target, and never says that a file is verified",
	},
	"wire is the standard library only": {
		from: "mover/wire", forbidden: outside(),
		why: "both sides of a pod's boundary link it",
	},
	"the API imports Kubernetes' API packages only": {
		from: "api", direct: true, forbidden: outside("k8s.io/api", "k8s.io/apimachinery"),
		why: "clients of other projects import it",
	},
	"the pod builder is pure": {
		from: "internal/moverpod", direct: true,
		forbidden: outside("k8s.io/api", "k8s.io/apimachinery", module+"/api", module+"/mover/wire"),
		why:       "it has no client to look anything up with",
	},
	"the protocol is pure": {
		from: "populator/protocol", direct: true,
		forbidden: outside(
			"k8s.io/api",
			"k8s.io/apimachinery",
			module+"/api",
			module+"/internal/annotated",
			module+"/internal/fromexport",
			module+"/internal/moverpod",
			module+"/internal/progress",
			module+"/internal/provisioner",
			module+"/internal/sizing",
			module+"/mover/wire",
			module+"/populator/queue",
		),
		why: "it decides and builds; who has a client observes, acts and reports",
	},
	"the protocol of exports is pure": {
		from: "transfer/export/protocol", direct: true,
		forbidden: outside(
			"k8s.io/api",
			"k8s.io/apimachinery",
			module+"/api",
			module+"/internal/moverpod",
			module+"/internal/progress",
			module+"/mover/wire",
			module+"/populator/queue",
			module+"/transfer/attempts",
			module+"/transfer/claimusers",
			module+"/transfer/retention",
			module+"/transfer/template",
		),
		why: "it decides and builds; who has a client observes, acts and reports",
	},
	"the protocol of imports is pure": {
		from: "transfer/imports/protocol", direct: true,
		forbidden: outside(
			"k8s.io/api",
			"k8s.io/apimachinery",
			module+"/api",
			module+"/internal/fromexport",
			module+"/internal/moverpod",
			module+"/internal/progress",
			module+"/mover/wire",
			module+"/populator/queue",
			module+"/transfer/attempts",
			module+"/transfer/claimusers",
		),
		why: "it decides and builds; who has a client observes, acts and reports",
	},
	"who uses a claim is told without a client": {
		from: "transfer/claimusers", direct: true,
		forbidden: outside("k8s.io/api", module+"/api", module+"/internal/moverpod"),
		why:       "what moves data of claims decides with it",
	},
	"attempts are counted without a client": {
		from: "transfer/attempts", direct: true,
		forbidden: outside("k8s.io/api", module+"/api", module+"/internal/moverpod", module+"/mover/wire"),
		why:       "what moves data of claims decides with it",
	},
	"imports use nothing of populations but their queue, and nothing of exports": {
		from: "transfer/imports", direct: true,
		forbidden: ours("populator/protocol", "populator/inventory", "populator/claimsources", "transfer/export", "webhook",
			"certs", "cmd"),
		why: "cmd/manager joins them",
	},
	"exports use nothing of populations but their queue": {
		from: "transfer/export", direct: true,
		forbidden: ours("populator/protocol", "populator/inventory", "populator/claimsources", "webhook", "certs", "cmd"),
		why:       "cmd/manager joins them",
	},
	"the queue is pure": {
		from: "populator/queue", direct: true,
		forbidden: outside("k8s.io/api", "k8s.io/apimachinery", module+"/api", module+"/internal/moverpod"),
		why:       "who may start is decided on what it is given",
	},
	"populator does not import its siblings": {
		from: "populator", forbidden: ours("certs", "transfer/export", "transfer/imports", "webhook", "cmd"),
		why: "cmd/manager joins them",
	},
	"certs does not import its siblings": {
		from: "certs", forbidden: ours("populator", "webhook", "api", "cmd"), why: "cmd/manager joins them",
	},
	"webhook does not import its siblings": {
		from: "webhook", forbidden: ours("populator", "certs", "cmd"), why: "cmd/manager joins them",
	},
	"a template of a prefix is the standard library only": {
		from: "transfer/template", forbidden: outside(), why: "admission and the controllers read it alike",
	},
	"a schedule knows no Kubernetes": {
		from: "transfer/schedule", direct: true, forbidden: outside("github.com/robfig/cron/v3"),
		why: "it is judged on times alone",
	},
	"retention is pure": {
		from: "transfer/retention", direct: true, forbidden: outside("k8s.io/apimachinery", module+"/api"),
		why: "what is history is decided on what it is given",
	},
	"policies make exports and do not run them": {
		from: "transfer/policy", forbidden: ours("populator", "certs", "webhook", "cmd", "mover", "internal/moverpod"),
		why: "an S3Export is all that they say",
	},
	"the export before deletion knows no population and no other export": {
		from: "transfer/final",
		forbidden: ours(
			"populator", "certs", "webhook", "cmd", "mover/upload", "transfer/export", "transfer/claims", "transfer/policy",
		),
		why: "it makes an S3Export as a user would, and waits for its end",
	},
	"annotations make exports and do not run them": {
		from: "transfer/claims", forbidden: ours("populator", "certs", "webhook", "cmd", "mover", "internal/moverpod"),
		why: "an S3Export is all that they say",
	},
	"the manager does not link the data path": {
		from: "cmd/manager", forbidden: func(path string) bool { return path == module+"/mover" },
		why: "it must have no way to read S3",
	},
	"what is shipped links no test code": {
		from: "cmd",
		forbidden: either(
			ours("e2e", "internal/kubetest", "internal/testenv", "populator/simulator"),
			below("testing", "sigs.k8s.io/controller-runtime/pkg/envtest"),
		),
		why: "tests may do what products must not",
	},
	"what is shipped links no AGPL code": {
		from: "cmd", forbidden: below("github.com/minio/mc", "github.com/minio/minio"),
		why: "mc is a process beside us and stays one",
	},
}

func TestImportsPointOneWay(t *testing.T) {
	programs := list(t)
	for name, c := range constraints {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !slices.ContainsFunc(programs, func(p program) bool { return c.covers(p.ImportPath) }) {
				t.Errorf("there is no package %s any more", c.from)
			}
			for _, bad := range violations(programs, c) {
				t.Errorf("%s; %s", bad, c.why)
			}
		})
	}
}

// TestConstraintsCanFail gives each kind of constraint something to find.
func TestConstraintsCanFail(t *testing.T) {
	programs := []program{
		{ImportPath: module + "/mover", Imports: []string{"fmt", "a/b"}, Deps: []string{"fmt", "a/b", "k8s.io/api/core/v1"}},
		{ImportPath: "a/b"},
		{ImportPath: module + "/wire", Deps: []string{module + "/mover/plan"}},
		{ImportPath: module + "/mover/engine", Imports: []string{module + "/mover/engine/mc"}},
		{ImportPath: module + "/mover/engine/mc", Imports: []string{module + "/mover/plan"}},
		{ImportPath: "k8s.io/api/core/v1"},
		{ImportPath: "fmt", Standard: true},
	}
	tests := map[string]struct {
		c    constraint
		want int
	}{
		"a package reached through another":      {constraint{from: "mover", forbidden: below("k8s.io")}, 1},
		"only what is imported directly":         {constraint{from: "mover", forbidden: below("k8s.io"), direct: true}, 0},
		"everything but the standard library":    {constraint{from: "mover", forbidden: outside()}, 2},
		"everything but what is allowed":         {constraint{from: "mover", forbidden: outside("a")}, 1},
		"a package of the mover":                 {constraint{from: "wire", forbidden: roomsBut("wire")}, 1},
		"a package of the mover that is allowed": {constraint{from: "wire", forbidden: roomsBut("plan")}, 0},
		"a package below, and not by itself":     {constraint{from: "mover/engine", forbidden: roomsBut(), direct: true}, 1},
		"a package by itself, and none below": {
			constraint{from: "mover/engine", forbidden: roomsBut("plan"), direct: true, alone: true}, 1,
		},
		"a folder whose name only begins alike": {constraint{from: "mov", forbidden: outside()}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := violations(programs, test.c); len(got) != test.want {
				t.Errorf("found %q, want %d", got, test.want)
			}
		})
	}
}

// violations names each package and what it must not reach.
func violations(programs []program, c constraint) []string {
	standard := map[string]bool{}
	for _, p := range programs {
		standard[p.ImportPath] = p.Standard
	}
	var found []string
	for _, p := range programs {
		if !c.covers(p.ImportPath) {
			continue
		}
		reached := p.Deps
		if c.direct {
			reached = p.Imports
		}
		for _, path := range reached {
			if !standardOrOwn(standard, path, c) && c.forbidden(path) {
				found = append(found, p.ImportPath+" reaches "+path)
			}
		}
	}
	return found
}

// standardOrOwn excuses the standard library, except for package testing, and what the promise is about.
func standardOrOwn(standard map[string]bool, path string, c constraint) bool {
	return standard[path] && path != "testing" || c.covers(path)
}

// below judges paths that are one of the given ones or in their folder.
func below(roots ...string) func(string) bool {
	return func(path string) bool {
		return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
	}
}

// ours judges folders of this module.
func ours(folders ...string) func(string) bool {
	roots := make([]string, 0, len(folders))
	for _, f := range folders {
		roots = append(roots, module+"/"+f)
	}
	return below(roots...)
}

// roomsBut judges the packages of the mover, but for some.
func roomsBut(allowed ...string) func(string) bool {
	room := ours("mover")
	return func(path string) bool {
		return room(path) && !slices.Contains(allowed, strings.TrimPrefix(path, module+"/mover/"))
	}
}

// outside judges everything but the given roots.
func outside(allowed ...string) func(string) bool {
	in := below(allowed...)
	return func(path string) bool { return !in(path) }
}

func either(a, b func(string) bool) func(string) bool {
	return func(path string) bool { return a(path) || b(path) }
}

// list asks the go command about everything that is shipped.
func list(t *testing.T) []program {
	t.Helper()
	args := []string{"list", "-e", "-deps", "-json=ImportPath,Standard,GoFiles,Imports,Deps"}
	for _, folder := range []string{
		"api", "mover", "internal/moverpod", "populator", "transfer", "certs", "webhook", "cmd",
	} {
		if _, err := os.Stat(filepath.Join(top, folder)); err == nil {
			args = append(args, "./"+folder+"/...")
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr(err))
	}
	var all []program
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p program
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("read the answer of go list: %v", err)
		}
		all = append(all, p)
	}
}

func stderr(err error) []byte {
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}
