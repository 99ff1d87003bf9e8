// SPDX-License-Identifier: Apache-2.0

package protocol

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/internal/fromexport"
)

// hashScheme begins every hash of this version. Hashes of another scheme, and none, cannot
// be compared: they say nothing about a change.
const hashScheme = "1."

// RequestHash names what a claim is to be filled with: the source and where it is, what is
// selected, where it goes, by which policies, and the claim's retry token. A mover or a
// result of another hash is outdated.
//
// It is the same in every version of ours: each field is listed here by name, and one that
// is absent or equal to its default adds nothing, so that a new field or a default that the
// API server writes ends no mover. A line must never change; a new field is a new line.
func RequestHash(source *v1alpha1.S3Source, claim *corev1.PersistentVolumeClaim) string {
	var f fields
	spec := source.Spec
	f.text("source", string(source.UID))
	f.text("retry", claim.Annotations[v1alpha1.AnnotationRetry])
	f.location(spec.S3Location)
	f.selection(spec)
	run, _, digest := fromexport.Run(source)
	f.text("run", run)
	f.text("runDigest", digest)
	f.text("targetPath", spec.TargetPath)
	f.text("requestPayer", strconv.FormatBool(spec.RequestPayer), "false")
	f.text("restoreAttributes", strconv.FormatBool(spec.RestoreAttributes), "false")
	f.json("files", spec.Files, spec.Files == nil)
	f.text("onEmpty", string(spec.OnEmpty), "Fail")
	f.text("unsafeKeys", string(spec.UnsafeKeys), "Fail")
	f.text("verify", string(spec.Transfer.Verify), "Checksum")
	return f.sum()
}

// PodHash names how a mover's pod is made: placement, resources, and what tunes the copy
// without changing its outcome. A pod of another hash that has not started is made anew.
func PodHash(source *v1alpha1.S3Source) string {
	var f fields
	m, t := source.Spec.Mover, source.Spec.Transfer
	f.json("resources", m.Resources, m.Resources == nil)
	f.json("nodeSelector", m.NodeSelector, len(m.NodeSelector) == 0)
	f.json("tolerations", m.Tolerations, len(m.Tolerations) == 0)
	f.json("affinity", m.Affinity, m.Affinity == nil)
	f.text("priorityClassName", m.PriorityClassName)
	f.json("imagePullSecrets", m.ImagePullSecrets, len(m.ImagePullSecrets) == 0)
	f.json("labels", m.Labels, len(m.Labels) == 0)
	f.json("annotations", m.Annotations, len(m.Annotations) == 0)
	f.json("podSecurityContext", m.PodSecurityContext, m.PodSecurityContext == nil)
	f.json("env", m.Env, len(m.Env) == 0)
	f.text("serviceAccountName", m.ServiceAccountName)
	f.text("engine", string(t.Engine), "Auto")
	f.text("parallelism", strconv.Itoa(int(t.Parallelism)), "0")
	f.text("bandwidth", t.Bandwidth)
	if d := source.Spec.Retries.AttemptTimeout; d != nil {
		f.text("attemptTimeout", d.Duration.String(), "24h0m0s")
	}
	return f.sum()
}

// outdated tells that two hashes are comparable and differ.
func outdated(hash, now string) bool {
	return strings.HasPrefix(hash, hashScheme) && hash != now
}

// fields are lines of name="value". Quoting keeps them apart whatever a value holds.
type fields struct{ b []byte }

// text adds a value unless it is empty or one of those that count as absent.
func (f *fields) text(name, value string, absent ...string) {
	if value != "" && !slices.Contains(absent, value) {
		f.b = append(strconv.AppendQuote(append(append(f.b, name...), '='), value), '\n')
	}
}

// set adds values whose order means nothing.
func (f *fields) set(name string, values []string) {
	for _, v := range slices.Sorted(slices.Values(values)) {
		f.text(name, v)
	}
}

// json adds a value of the Kubernetes API as it is sent; its maps are sorted.
func (f *fields) json(name string, value any, absent bool) {
	if absent {
		return
	}
	b, err := json.Marshal(value)
	if err != nil { // What came from JSON goes back to JSON.
		b = fmt.Appendf(nil, "%v", value)
	}
	f.text(name, string(b))
}

func (f *fields) location(l v1alpha1.S3Location) {
	f.text("endpoint", strings.TrimSuffix(l.Endpoint, "/"))
	f.text("region", l.Region)
	f.text("addressing", string(l.Addressing), "Auto")
	f.text("bucket", l.Bucket)
	if c := l.Credentials; c != nil {
		if c.SecretRef != nil {
			f.text("secret", c.SecretRef.Name)
			f.secretKeys(c.SecretRef.Keys)
		}
		f.text("serviceAccount", c.ServiceAccountName)
		f.text("roleARN", c.RoleARN)
		f.text("audience", c.Audience)
	}
	if l.TLS == nil {
		return
	}
	f.text("insecureSkipVerify", strconv.FormatBool(l.TLS.InsecureSkipVerify), "false")
	for _, b := range l.TLS.CABundles {
		f.bundle("caConfigMap", b.ConfigMap)
		f.bundle("caSecret", b.Secret)
	}
}

func (f *fields) secretKeys(k *v1alpha1.SecretKeys) {
	if k != nil {
		f.text("secretAccessKey", k.AccessKey)
		f.text("secretSecretKey", k.SecretKey)
		f.text("secretSessionToken", k.SessionToken)
	}
}

func (f *fields) bundle(name string, r *v1alpha1.KeyReference) {
	if r != nil {
		f.text(name, r.Name)
		f.text(name+"Key", r.Key, "ca.crt")
	}
}

func (f *fields) selection(spec v1alpha1.S3SourceSpec) {
	prefix := spec.Prefix
	if mode := spec.PrefixMode; mode == "" || mode == "Directory" {
		prefix = strings.TrimSuffix(prefix, "/") // imagenet and imagenet/ select the same.
	}
	f.text("prefix", prefix)
	f.text("prefixMode", string(spec.PrefixMode), "Directory")
	objects := slices.SortedFunc(
		slices.Values(spec.Objects),
		func(a, b v1alpha1.S3Object) int { return cmp.Compare(a.Key, b.Key) },
	)
	for _, o := range objects {
		f.text("object", o.Key)
		f.text("objectPath", o.Path, o.Key)
		f.text("objectVersion", o.VersionID)
	}
	f.set("include", spec.Include)
	f.set("exclude", spec.Exclude)
}

// sum is short, because nobody forges it: who can write an annotation can write a source.
func (f *fields) sum() string {
	sum := sha256.Sum256(f.b)
	return hashScheme + hex.EncodeToString(sum[:8])
}
