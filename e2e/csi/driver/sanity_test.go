// SPDX-License-Identifier: Apache-2.0

package driver_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/s3populator/s3populator/e2e/csi/driver"
	"github.com/s3populator/s3populator/internal/kubetest"
)

// TestSanity runs the conformance tests of the CSI project, csi-sanity, for both kinds of
// volumes. They are of the calls, each alone; what the stories need besides is tested here.
func TestSanity(t *testing.T) {
	for _, access := range []string{"mount", "block"} {
		t.Run(access, func(t *testing.T) {
			sanity := kubetest.Program(t, "csi-sanity")
			h := start(t)
			mutable := h.path("mutable.yaml")
			if err := os.WriteFile(mutable, []byte(driver.AttributeTier+": fast\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(h.path("kubelet"), 0o700); err != nil {
				t.Fatal(err)
			}
			command := exec.CommandContext(t.Context(), sanity,
				"--ginkgo.no-color", "--ginkgo.randomize-all",
				"--csi.endpoint", "unix://"+h.path("csi.sock"),
				"--csi.mountdir", h.path("kubelet", "target"),
				"--csi.stagingdir", h.path("kubelet", "staging"),
				"--csi.testvolumeaccesstype", access,
				"--csi.testvolumesize", strconv.Itoa(16*mib),
				"--csi.testvolumeexpandsize", strconv.Itoa(24*mib),
				"--csi.testvolumemutableparameters", mutable,
			)
			said, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("csi-sanity: %v\n%s", err, said)
			}
			summary := string(said)
			if i := strings.LastIndex(summary, "Ran "); i >= 0 {
				summary = summary[i:]
			}
			t.Log(strings.TrimSpace(summary))
		})
	}
}
