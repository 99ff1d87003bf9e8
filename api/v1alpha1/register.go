// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion names this version of the API.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(
		GroupVersion, &S3Source{}, &S3SourceList{}, &S3Import{}, &S3ImportList{}, &S3Export{}, &S3ExportList{},
		&S3ExportPolicy{}, &S3ExportPolicyList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
