// SPDX-License-Identifier: Apache-2.0

package fault

import "time"

// Health tells whether the driver can be used.
type Health struct {
	// Registered tells that the kubelet accepted the driver.
	Registered bool `json:"registered"`
	// RegistrationError is why it did not, if it said so.
	RegistrationError string `json:"registrationError,omitempty"`
}

// Volume is a volume that exists.
type Volume struct {
	ID string `json:"id"`
	// Namespace and Claim name the claim it was provisioned for.
	Namespace     string            `json:"namespace,omitempty"`
	Claim         string            `json:"claim,omitempty"`
	CapacityBytes int64             `json:"capacityBytes"`
	Block         bool              `json:"block"`
	AccessModes   []string          `json:"accessModes"`
	Parameters    map[string]string `json:"parameters,omitempty"`
	// Attributes are the mutable parameters of a VolumeAttributesClass.
	Attributes map[string]string `json:"attributes,omitempty"`
	// FromSnapshot and FromVolume name what it was copied from.
	FromSnapshot string    `json:"fromSnapshot,omitempty"`
	FromVolume   string    `json:"fromVolume,omitempty"`
	CreatedAt    time.Time `json:"createdAt"`
	// ImageBytes is the size of the device, DiskBytes what it takes on the disk of the machine.
	ImageBytes int64 `json:"imageBytes"`
	DiskBytes  int64 `json:"diskBytes"`
	// Devices and Mounts show where it is used right now.
	Devices []string `json:"devices,omitempty"`
	Mounts  []string `json:"mounts,omitempty"`
}

// Snapshot is a snapshot that exists.
type Snapshot struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name,omitempty"`
	Volume    string    `json:"volume"`
	SizeBytes int64     `json:"sizeBytes"`
	Block     bool      `json:"block"`
	CreatedAt time.Time `json:"createdAt"`
}

// Count is what happened to the calls of one method.
type Count struct {
	// Calls counts every call that began, also one that a rule disturbed.
	Calls int `json:"calls"`
	// Failed counts those that ended with an error.
	Failed int `json:"failed"`
	// Waiting counts those that a rule holds or delays right now.
	Waiting int `json:"waiting"`
	// Running counts those that have not ended, waiting ones included.
	Running int `json:"running"`
	// Codes counts the ended calls by the name of their gRPC code.
	Codes map[string]int `json:"codes,omitempty"`
}
