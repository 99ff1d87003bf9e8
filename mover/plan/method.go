// SPDX-License-Identifier: Apache-2.0

package plan

// Method is how a file was compared with its object. Its names are those of package proof, but
// for the one of a file that was not compared.
type Method uint8

const (
	// Unverified is the method of a file that still has to be compared.
	Unverified Method = 0
	// Methods is more than any method.
	Methods = 8
)
