// SPDX-License-Identifier: Apache-2.0

package image

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/s3populator/s3populator/e2e/cluster/toolchain"
)

// recipe is how the context of one target comes about.
type recipe struct {
	dockerfile string
	// files maps names in the context to files on disk.
	files func(context.Context, *toolchain.Cache) (map[string]string, error)
}

var recipes = map[string]recipe{
	"manager": {"Dockerfile", managerFiles},
	"mover":   {"Dockerfile", moverFiles},
	"probe":   {"e2e/probe/Dockerfile", testFiles},
	"pause":   {"e2e/probe/Dockerfile", testFiles},
	"floor":   {"e2e/bench/Dockerfile", floorFiles},
}

// Targets lists what can be built.
func Targets() []string { return slices.Sorted(maps.Keys(recipes)) }

func managerFiles(ctx context.Context, c *toolchain.Cache) (map[string]string, error) {
	binary, err := c.Local(ctx, "./cmd/manager")
	if err != nil {
		return nil, err
	}
	files := map[string]string{fmt.Sprintf("bin/linux-%s/manager", c.Arch): binary}
	return files, addLicenses(ctx, c, files, "manager")
}

func moverFiles(ctx context.Context, c *toolchain.Cache) (map[string]string, error) {
	mover, err := c.Local(ctx, "./cmd/mover")
	if err != nil {
		return nil, err
	}
	built, err := c.Ensure(ctx, "mc")
	if err != nil {
		return nil, err
	}
	license, err := c.License(ctx, "mc")
	if err != nil {
		return nil, err
	}
	bin := fmt.Sprintf("bin/linux-%s/", c.Arch)
	files := map[string]string{
		bin + "mover": mover, bin + "mc": built["mc"], bin + "mc.LICENSE": license,
		"hack/tools/mc/NOTICE": filepath.Join(c.Source, "hack/tools/mc/NOTICE"),
		"hack/tools/mc/go.mod": filepath.Join(c.Source, "hack/tools/mc/go.mod"),
	}
	return files, addLicenses(ctx, c, files, "mover", "mc")
}

// testFiles are both test programs: buildah wants to see all that the
// Dockerfile mentions, also for the other target.
func testFiles(ctx context.Context, c *toolchain.Cache) (map[string]string, error) {
	files := map[string]string{}
	for name, pkg := range map[string]string{"probe": "./e2e/probe", "pause": "./e2e/probe/pause"} {
		var err error
		if files[name], err = c.Local(ctx, pkg); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// floorFiles are a mover's and the probe.
func floorFiles(ctx context.Context, c *toolchain.Cache) (map[string]string, error) {
	files, err := moverFiles(ctx, c)
	if err != nil {
		return nil, err
	}
	probe, err := testFiles(ctx, c)
	maps.Copy(files, probe)
	return files, err
}
