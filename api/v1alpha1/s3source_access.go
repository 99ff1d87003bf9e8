// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Credentials names exactly one identity.
//
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) != (has(self.serviceAccountName) && size(self.serviceAccountName) > 0)",message="spec.credentials: set exactly one of secretRef and serviceAccountName; leave spec.credentials out for an anonymous bucket"
// +kubebuilder:validation:XValidation:rule="!has(self.roleARN) || has(self.serviceAccountName)",message="spec.credentials.roleARN: only with serviceAccountName; remove it or use a ServiceAccount"
type Credentials struct {
	// SecretRef names a Secret of this namespace with access_key, secret_key and optionally
	// session_token, or with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
	// +optional
	SecretRef *LocalReference `json:"secretRef,omitempty"`
	// ServiceAccountName is the identity of the mover pod: IRSA, EKS Pod Identity, or the
	// web identity of an STS at the endpoint (MinIO).
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// RoleARN to assume where the platform does not inject one; MinIO needs none.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	RoleARN string `json:"roleARN,omitempty"`
}

// LocalReference names an object of the same namespace.
type LocalReference struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// TLS says how the endpoint's certificate is judged.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.insecureSkipVerify) && self.insecureSkipVerify && has(self.caBundles) && size(self.caBundles) > 0)",message="spec.tls: caBundles are pointless with insecureSkipVerify; remove one of them"
type TLS struct {
	// InsecureSkipVerify accepts any certificate. For tests; anyone on the way can change the data.
	// +optional
	InsecureSkipVerify bool `json:"insecureSkipVerify,omitempty"`
	// CABundles are trusted besides the public roots; each may hold a chain in PEM.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	CABundles []CABundle `json:"caBundles,omitempty"`
}

// CABundle is one key of a ConfigMap or of a Secret.
//
// +kubebuilder:validation:XValidation:rule="has(self.configMap) != has(self.secret)",message="spec.tls.caBundles[]: set exactly one of configMap and secret"
type CABundle struct {
	// +optional
	ConfigMap *KeyReference `json:"configMap,omitempty"`
	// +optional
	Secret *KeyReference `json:"secret,omitempty"`
}

// KeyReference names one key of an object of the same namespace.
type KeyReference struct {
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// +optional
	// +kubebuilder:default=ca.crt
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}
