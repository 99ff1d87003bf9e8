// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the API of S3 volume populator: what users write
// (S3Source), what they read (S3Import) and every name on the wire. It imports
// Kubernetes API packages only and holds no behaviour.
//
// +kubebuilder:object:generate=true
// +groupName=s3populator.io
package v1alpha1
