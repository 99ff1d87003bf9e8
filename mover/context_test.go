// SPDX-License-Identifier: Apache-2.0

package mover

import "context"

// testContext is for code that runs before there is a test.
func testContext() context.Context {
	return context.Background() //nolint:forbidigo // Where it is used there is no caller and no test.
}
