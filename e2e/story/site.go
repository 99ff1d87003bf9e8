// SPDX-License-Identifier: Apache-2.0

package story

import (
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
)

// Site is what somebody who follows an example has in the place of the names that it shows.
type Site struct {
	Bucket  *Bucket
	Class   string // in the place of a class that the example names
	Size    string // of every claim; default: 32Mi
	Version string // of every object that has one
	Proxy   string // in the place of the proxy's URL
	Prefix  string // of every source, in the place of one that nobody could know
}

// Fit writes the site's values over those of an object of an example, and touches nothing
// else: endpoint, bucket, version and proxy of a source or an export, and the authority of a server that
// has a private one; the same in annotations; keys in a Secret; class and size of a claim;
// images of pods.
func (s *Story) Fit(o client.Object, at Site) {
	s.T.Helper()
	switch o := o.(type) {
	case *corev1.Secret:
		o.StringData["access_key"], o.StringData["secret_key"] = at.Bucket.Server.AccessKey, at.Bucket.Server.SecretKey
	case *v1alpha1.S3Source:
		s.fitSource(&o.Spec, at)
	case *v1alpha1.S3Export:
		o.Spec.Destination.Endpoint, o.Spec.Destination.Bucket = at.Bucket.Server.Endpoint, at.Bucket.Name
	case *v1alpha1.S3ExportPolicy:
		to := &o.Spec.Template.Destination
		to.Endpoint, to.Bucket = at.Bucket.Server.Endpoint, at.Bucket.Name
	case *corev1.PersistentVolumeClaim:
		at.fitClaim(o)
	case *corev1.Pod:
		fitImages(&o.Spec)
	case *appsv1.StatefulSet:
		fitImages(&o.Spec.Template.Spec)
		for i := range o.Spec.VolumeClaimTemplates {
			at.fitClaim(&o.Spec.VolumeClaimTemplates[i])
		}
	}
}

func (s *Story) fitSource(spec *v1alpha1.S3SourceSpec, at Site) {
	s.T.Helper()
	spec.Endpoint, spec.Bucket = at.Bucket.Server.Endpoint, at.Bucket.Name
	spec.Prefix = orElse(at.Prefix, spec.Prefix)
	for i := range spec.Objects {
		if spec.Objects[i].VersionID != "" {
			spec.Objects[i].VersionID = at.Version
		}
	}
	for i := range spec.Mover.Env {
		if spec.Mover.Env[i].Name == "HTTPS_PROXY" {
			spec.Mover.Env[i].Value = at.Proxy
		}
	}
	if ca := at.Bucket.Server.CABundle; ca != nil && spec.TLS == nil {
		s.ensure(
			&corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: AuthorityName, Namespace: s.Namespace},
				Data:       map[string]string{"ca.crt": string(ca)},
			},
		)
		spec.TLS = &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: AuthorityName}}}}
	}
}

func (at Site) fitClaim(claim *corev1.PersistentVolumeClaim) {
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(orElse(at.Size, "32Mi"))
	if claim.Spec.StorageClassName != nil {
		claim.Spec.StorageClassName = new(at.Class)
	}
	if url, ok := strings.CutPrefix(claim.Annotations[v1alpha1.AnnotationURL], "s3://"); ok {
		_, path, _ := strings.Cut(url, "/")
		claim.Annotations[v1alpha1.AnnotationURL] = "s3://" + at.Bucket.Name + "/" + path
		claim.Annotations[v1alpha1.AnnotationEndpoint] = at.Bucket.Server.Endpoint
	}
	if to, ok := strings.CutPrefix(claim.Annotations[v1alpha1.AnnotationExportTo], "s3://"); ok {
		_, path, _ := strings.Cut(to, "/")
		claim.Annotations[v1alpha1.AnnotationExportTo] = "s3://" + at.Bucket.Name + "/" + path
		claim.Annotations[v1alpha1.AnnotationExportEndpoint] = at.Bucket.Server.Endpoint
	}
}

func fitImages(pod *corev1.PodSpec) {
	for i := range pod.Containers {
		pod.Containers[i].Image = image.Name("pause")
	}
}

// Keys makes a Secret that an example names and does not show, unless it is there.
func (s *Story) Keys(name, accessKey, secretKey string, b *Bucket) {
	s.T.Helper()
	s.ensure(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.Namespace}, StringData: map[string]string{
			accessKey: b.Server.AccessKey, secretKey: b.Server.SecretKey,
		}},
	)
}

// Label changes a label of the story's namespace.
func (s *Story) Label(key, value string) {
	s.T.Helper()
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	Update(s, space, func(n *corev1.Namespace) { n.Labels[key] = value })
}
