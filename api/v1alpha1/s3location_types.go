// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// S3Location is where a bucket is, how it is reached and as whom. It is part of the spec of a
// source, and stands alone wherever a kind names a place in S3.
//
// +kubebuilder:validation:XValidation:rule="has(self.bucket)",message="bucket: required; name the bucket that holds the objects"
// +kubebuilder:validation:XValidation:rule="has(self.endpoint) || has(self.region)",message="region: required without endpoint, which then is AWS; set the bucket's region, or set endpoint"
type S3Location struct {
	// Endpoint is the URL of the S3 server, such as https://minio.data.svc:9000. Leave it
	// out for AWS; then region is required.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://[^/?#@]+/?$')",message="endpoint: write scheme, host and port only, such as https://minio.data.svc:9000; the bucket goes into bucket, credentials into credentials"
	Endpoint string `json:"endpoint,omitempty"`

	// Region of the bucket, such as us-east-1.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9-]+$')",message="region: letters, digits and dashes only, such as us-east-1"
	Region string `json:"region,omitempty"`

	// Addressing is how the bucket appears in requests: Path (host/bucket), VirtualHost
	// (bucket.host) or Auto, which picks VirtualHost for AWS and Path elsewhere.
	// +optional
	// +kubebuilder:default=Auto
	// +kubebuilder:validation:Enum=Auto;Path;VirtualHost
	Addressing Addressing `json:"addressing,omitempty"`

	// Bucket holds the objects. Required.
	// +optional
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9][a-z0-9.-]+[a-z0-9]$') && !self.contains('..')",message="bucket: 3 to 63 lower-case letters, digits, dots and dashes, beginning and ending with a letter or digit; a path goes into prefix"
	Bucket string `json:"bucket,omitempty"`

	// Credentials to use; leave them out for a public bucket.
	// +optional
	Credentials *Credentials `json:"credentials,omitempty"`

	// TLS configures how the endpoint's certificate is verified.
	// +optional
	TLS *TLS `json:"tls,omitempty"`
}

// Addressing is Auto, Path or VirtualHost.
type Addressing string

// Credentials names exactly one identity.
//
// +kubebuilder:validation:XValidation:rule="!has(self.audience) || has(self.serviceAccountName)",message="credentials.audience: only with serviceAccountName; remove it or use a ServiceAccount"
// +kubebuilder:validation:XValidation:rule="has(self.secretRef) != (has(self.serviceAccountName) && size(self.serviceAccountName) > 0)",message="credentials: set exactly one of secretRef and serviceAccountName; leave credentials out for an anonymous bucket"
// +kubebuilder:validation:XValidation:rule="!has(self.roleARN) || has(self.serviceAccountName)",message="credentials.roleARN: only with serviceAccountName; remove it or use a ServiceAccount"
type Credentials struct {
	// SecretRef names a Secret of this namespace with access_key, secret_key and optionally
	// session_token, or with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
	// Other names of the keys go into keys.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`
	// ServiceAccountName is the identity of the mover pod: IRSA, EKS Pod Identity, or the
	// web identity of an STS at the endpoint (MinIO).
	// +optional
	// +kubebuilder:validation:MaxLength=253
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// RoleARN to assume where the platform does not inject one. MinIO needs the ARN of its OpenID
	// role policy, if it has one.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	RoleARN string `json:"roleARN,omitempty"`
	// Audience of the ServiceAccount's token that the mover shows to the endpoint's STS. Leave
	// it out for sts.amazonaws.com towards AWS, and elsewhere for the endpoint's own scheme,
	// host and port, such as https://minio.data.svc:9000. A platform that injects its own
	// token (IRSA) chooses its audience itself.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Audience string `json:"audience,omitempty"`
}

// SecretReference names a Secret of the same namespace, and which of its keys are meant.
type SecretReference struct {
	// Name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Keys of the Secret, where they have other names than those of secretRef.
	// +optional
	Keys *SecretKeys `json:"keys,omitempty"`
}

// SecretKeys are names of keys in a Secret, not their values. One that is left out is looked
// for under its usual names.
type SecretKeys struct {
	// AccessKey is the key that holds the access key ID.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	AccessKey string `json:"accessKey,omitempty"`
	// SecretKey is the key that holds the secret access key.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	SecretKey string `json:"secretKey,omitempty"`
	// SessionToken is the key that holds the session token; without it there is none unless
	// the Secret has one under a usual name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	SessionToken string `json:"sessionToken,omitempty"`
}

// TLS says how the endpoint's certificate is judged.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.insecureSkipVerify) && self.insecureSkipVerify && has(self.caBundles) && size(self.caBundles) > 0)",message="tls: caBundles are pointless with insecureSkipVerify; remove one of them"
type TLS struct {
	// InsecureSkipVerify accepts any certificate. For tests only: anyone between the mover and S3
	// can change the data.
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
// +kubebuilder:validation:XValidation:rule="has(self.configMap) != has(self.secret)",message="caBundles[]: set exactly one of configMap and secret"
type CABundle struct {
	// ConfigMap that holds the certificates.
	// +optional
	ConfigMap *KeyReference `json:"configMap,omitempty"`
	// Secret that holds the certificates.
	// +optional
	Secret *KeyReference `json:"secret,omitempty"`
}

// KeyReference names one key of an object of the same namespace.
type KeyReference struct {
	// Name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key whose value is meant.
	// +optional
	// +kubebuilder:default=ca.crt
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[-._a-zA-Z0-9]+$`
	Key string `json:"key,omitempty"`
}
