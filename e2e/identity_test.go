// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/node"
	"github.com/s3populator/s3populator/e2e/story"
)

var roleARN = regexp.MustCompile(`arn:minio:iam:::role/\S+`)

// The guide's recipe for MinIO, step by step as it is written, gives a mover keys for its
// ServiceAccount's token. Example and recipe stay as they are but for the role's ARN, which
// MinIO tells, and the authority of MinIO's own certificate.
func TestMinIOSTS(t *testing.T) {
	t.Parallel()
	s := story.Begin(t, world)
	steps := s.Scripts("docs/guide.md", "No keys at all: workload identity")
	if len(steps) != 3 {
		t.Fatalf("the guide has %d scripts, want those for the issuer, the server and the policy", len(steps))
	}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "issuer-discovery"}}
	t.Cleanup(func() { s.Remove(binding) })
	s.Shell(steps[0])

	server := s.OwnServer(node.S3Options{
		Kind: node.MinIO, TLS: &node.TLSOptions{Names: []string{"minio.data.svc"}}, Env: strings.Fields(steps[1]),
		Trust: clusterAuthority(t, s),
	})
	service(s, server)
	bucket := s.BucketOf(server, "models").Put(story.Small("", 5))
	address := strings.TrimPrefix(server.Endpoint, "https://")
	s.Shell("cd $HOME\nalias mc='mc --insecure'\nshopt -s expand_aliases\n"+steps[2], "MC_HOST_MINIO="+(&url.URL{
		Scheme: "https", Host: address, User: url.UserPassword(server.AccessKey, server.SecretKey),
	}).String())
	var role []byte
	s.Await("MinIO to print the ARN of its role", func() error { // It answers before it has.
		log, err := os.ReadFile(server.Log)
		if role = roleARN.Find(log); role == nil {
			return fmt.Errorf("it has printed (%w):\n%s", err, log)
		}
		return nil
	})
	for _, o := range s.Sample("minio-sts.yaml") {
		if source, ok := o.(*v1alpha1.S3Source); ok {
			source.Spec.Credentials.RoleARN = string(role)
			source.Spec.TLS = &v1alpha1.TLS{
				CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: s.Authority("minio", bucket)}}},
			}
		}
		s.Create(o)
	}
	s.Populated(s.Claim(story.Claim{Source: "models"}), bucket.Under(""))
}

// clusterAuthority is what every namespace has of the API server's authority.
func clusterAuthority(t *testing.T, s *story.Story) []byte {
	t.Helper()
	root := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "kube-root-ca.crt"}}
	s.Await(
		"the ConfigMap kube-root-ca.crt",
		func() error { return world.Client.Get(t.Context(), client.ObjectKeyFromObject(root), root) },
	)
	return []byte(root.Data["ca.crt"])
}

// service makes the server that which examples call minio.data.svc:9000.
func service(s *story.Story, server *node.S3Server) {
	s.T.Helper()
	at, err := url.Parse(server.Endpoint)
	if err != nil {
		s.T.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		s.T.Fatal(fmt.Errorf("port of %s: %w", server.Endpoint, err))
	}
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	s.Create(space)
	s.T.Cleanup(func() { s.Remove(space) })
	meta := metav1.ObjectMeta{
		Namespace: "data",
		Name:      "minio",
		Labels:    map[string]string{discoveryv1.LabelServiceName: "minio"},
	}
	s.Create(&corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 9000}}}})
	s.Create(&discoveryv1.EndpointSlice{
		ObjectMeta: meta, AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{at.Hostname()}}},
		Ports:     []discoveryv1.EndpointPort{{Name: new(""), Port: new(int32(port))}},
	})
}
