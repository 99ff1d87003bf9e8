// SPDX-License-Identifier: Apache-2.0

package provisioner

import (
	"strings"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

func TestUnsupported(t *testing.T) {
	vouched := map[string]string{v1alpha1.AnnotationHonoursDataSource: v1alpha1.HonoursDataSource}
	tests := map[string]struct {
		provisioner string
		csi         bool
		annotations map[string]string
		want        string // In the reason; empty when it is supported.
	}{
		"a CSI driver": {provisioner: "ebs.csi.aws.com", csi: true},
		"a name without a CSIDriver": {
			provisioner: "rancher.io/local-path",
			want:        "no CSIDriver object named rancher.io/local-path exists",
		},
		"one that its class vouches for": {provisioner: "rancher.io/local-path", annotations: vouched},
		"another value of that annotation": {
			provisioner: "rancher.io/local-path",
			annotations: map[string]string{v1alpha1.AnnotationHonoursDataSource: "yes"},
			want:        "no CSIDriver",
		},
		"volumes made by hand":                      {provisioner: None, want: "made by hand"},
		"nobody can vouch for volumes made by hand": {provisioner: None, annotations: vouched, want: "made by hand"},
		"gp2 of EKS, served by its CSI driver":      {provisioner: "kubernetes.io/aws-ebs"},
		"standard of GKE, served by its CSI driver": {provisioner: "kubernetes.io/gce-pd"},
		"cinder":                           {provisioner: "kubernetes.io/cinder"},
		"azure-disk":                       {provisioner: "kubernetes.io/azure-disk"},
		"azure-file":                       {provisioner: "kubernetes.io/azure-file"},
		"vsphere":                          {provisioner: "kubernetes.io/vsphere-volume"},
		"portworx":                         {provisioner: "kubernetes.io/portworx-volume"},
		"a plugin that Kubernetes dropped": {provisioner: "kubernetes.io/glusterfs", want: "is built in and ignores"},
		"nobody can vouch for a plugin that was dropped": {
			provisioner: "kubernetes.io/glusterfs",
			annotations: vouched,
			want:        "is built in",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			class := &storagev1.StorageClass{
				ObjectMeta:  metav1.ObjectMeta{Name: "c", Annotations: tt.annotations},
				Provisioner: tt.provisioner,
			}
			got := Unsupported(class, tt.csi)
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
