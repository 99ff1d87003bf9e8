// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"fmt"
	"path"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// Modes of projected files, which root owns. An fsGroup may read them; without one the mover
// is one of the others, in a file system that no other pod sees.
const (
	readableByGroup int32 = 0o440
	readableByAll   int32 = 0o444
)

func readable(c *corev1.PodSecurityContext) *int32 {
	if c == nil || c.FSGroup == nil {
		return new(readableByAll)
	}
	return new(readableByGroup)
}

// tokenSeconds is how long a projected token lives; the kubelet renews it at 80 %.
const tokenSeconds int64 = 3600

func addVolumes(pod *corev1.PodSpec, s Spec) {
	mount(pod, "scratch", wire.ScratchPath, corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{
		Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("16Mi")),
	}})
	addClaim(pod, s)
	mode := readable(pod.SecurityContext)
	addCredentials(pod, s.Location.Credentials, mode)
	addTokens(pod, s.Request, mode)
	if s.Location.TLS != nil {
		for i, b := range s.Location.TLS.CABundles {
			name := "ca-" + strconv.Itoa(i)
			mount(pod, name, path.Join(wire.CABundlesPath, strconv.Itoa(i)), caBundle(b, mode))
		}
	}
}

func addClaim(pod *corev1.PodSpec, s Spec) {
	if s.ClaimName == "" {
		return
	}
	volume := corev1.Volume{Name: "volume", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: s.ClaimName, ReadOnly: s.ReadOnly},
	}}
	pod.Volumes = append(pod.Volumes, volume)
	c := &pod.Containers[0]
	if s.Request.Volume.Mode == wire.Block {
		c.VolumeDevices = append(c.VolumeDevices, corev1.VolumeDevice{Name: volume.Name, DevicePath: wire.DevicePath})
		return
	}
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{
		Name: volume.Name, MountPath: wire.VolumePath, ReadOnly: s.ReadOnly,
	})
}

// addCredentials mounts the Secret as optional: a missing one must not leave the pod
// waiting in silence; the mover says what is missing instead.
func addCredentials(pod *corev1.PodSpec, c *v1alpha1.Credentials, mode *int32) {
	if c == nil || c.SecretRef == nil {
		return
	}
	mount(pod, "credentials", wire.CredentialsPath, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: c.SecretRef.Name, Optional: new(true), DefaultMode: mode,
	}})
}

// addTokens projects a token for the progress endpoint, useless against the API server,
// and one for web identity.
func addTokens(pod *corev1.PodSpec, r wire.Request, mode *int32) {
	var sources []corev1.VolumeProjection
	if r.Progress.URL != "" {
		sources = append(sources, token(wire.TokenAudience, wire.ProgressToken))
	}
	if r.Credentials.Kind == wire.WebIdentity {
		sources = append(sources, token(r.Credentials.Audience, wire.IdentityToken))
	}
	if len(sources) == 0 {
		return
	}
	mount(pod, "tokens", wire.TokenPath, corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: sources, DefaultMode: mode,
	}})
}

func token(audience, file string) corev1.VolumeProjection {
	return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
		Audience: audience, ExpirationSeconds: new(tokenSeconds), Path: path.Base(file),
	}}
}

// caBundle mounts one key under its own name. Optional for the same reason as the Secret:
// the mover names the missing bundle.
func caBundle(b v1alpha1.CABundle, mode *int32) corev1.VolumeSource {
	if b.ConfigMap != nil {
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: b.ConfigMap.Name},
			Items:                []corev1.KeyToPath{{Key: b.ConfigMap.Key, Path: b.ConfigMap.Key}},
			Optional:             new(true),
		}}
	}
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{
		SecretName: b.Secret.Name,
		Items:      []corev1.KeyToPath{{Key: b.Secret.Key, Path: b.Secret.Key}},
		Optional:   new(true), DefaultMode: mode,
	}}
}

func mount(pod *corev1.PodSpec, name, at string, source corev1.VolumeSource) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	c := &pod.Containers[0]
	c.VolumeMounts = append(
		c.VolumeMounts,
		corev1.VolumeMount{Name: name, MountPath: at, ReadOnly: source.EmptyDir == nil},
	)
}

// PopulatorName is derived from a UID, so that two writers make one pod. So are the names below.
func PopulatorName(claimUID string) string { return fmt.Sprintf("populate-%s", claimUID) }

// InventoryName is the name of the pod that lists a source.
func InventoryName(sourceUID string) string { return fmt.Sprintf("inventory-%s", sourceUID) }

// ExportName is the name of the pod that exports a volume.
func ExportName(exportUID string) string { return fmt.Sprintf("export-%s", exportUID) }

// AbortName is the name of the pod that ends the uploads that an export has left.
func AbortName(exportUID string) string { return fmt.Sprintf("abort-%s", exportUID) }

// PruneName is the name of the pod that removes what an export has sent.
func PruneName(exportUID string) string { return fmt.Sprintf("prune-%s", exportUID) }
