// SPDX-License-Identifier: Apache-2.0

//go:build !race

package testenv

// Race tells a test that the race detector watches it: memory and time are several times what
// they are without. `hack/test.sh unit` runs what measures either without it.
const Race = false
