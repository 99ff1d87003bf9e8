// SPDX-License-Identifier: Apache-2.0

// Package sizing computes the request of a volume from the bytes it is to hold. It is pure,
// so that admission and population agree on one number.
package sizing

import "k8s.io/apimachinery/pkg/api/resource"

// mebibyte is what sizes are rounded up to: what most drivers allocate in.
const mebibyte = 1 << 20

// defaultOverage is the default of spec.sizing.overagePercent.
const defaultOverage = 25

// Request is the request for so many bytes of data: with the overage in percent (nil: 25)
// added, rounded up to 1 MiB, at least 1 MiB.
func Request(bytes int64, overagePercent *int32) resource.Quantity {
	percent := int64(defaultOverage)
	if overagePercent != nil {
		percent = int64(*overagePercent)
	}
	// Divided first, so that no sum of objects overflows.
	need := bytes + bytes/100*percent + (bytes%100*percent+99)/100
	return *resource.NewQuantity(max(1, (need+mebibyte-1)/mebibyte)*mebibyte, resource.BinarySI)
}
