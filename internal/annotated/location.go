// SPDX-License-Identifier: Apache-2.0

package annotated

import (
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/s3populator/s3populator/api/v1alpha1"
)

// Limits and forms of the schema of S3Location.
const (
	maxEndpoint = 512
	maxRegion   = 64
)

var (
	endpointForm = regexp.MustCompile(`^https?://[^/?#@]+/?$`)
	regionForm   = regexp.MustCompile(`^[A-Za-z0-9-]+$`)
)

// annotations are the names of those that say how a bucket is reached and as whom.
type annotations struct{ endpoint, region, secret, account, caConfigMap string }

var sourcePlace = annotations{
	endpoint: v1alpha1.AnnotationEndpoint, region: v1alpha1.AnnotationRegion, secret: v1alpha1.AnnotationSecret,
	account: v1alpha1.AnnotationServiceAccount, caConfigMap: v1alpha1.AnnotationCAConfigMap,
}

// location is all but the bucket.
func (n annotations) location(a map[string]string) (v1alpha1.S3Location, field.ErrorList) {
	at := v1alpha1.S3Location{Endpoint: a[n.endpoint], Region: a[n.region]}
	errs := append(n.server(at), n.credentials(a, &at)...)
	if name := a[n.caConfigMap]; name != "" {
		errs = append(errs, checkName(n.caConfigMap, name, "ConfigMap")...)
		at.TLS = &v1alpha1.TLS{CABundles: []v1alpha1.CABundle{{ConfigMap: &v1alpha1.KeyReference{Name: name}}}}
	}
	return at, errs
}

func (n annotations) server(at v1alpha1.S3Location) field.ErrorList {
	var errs field.ErrorList
	if e := at.Endpoint; e != "" && (len(e) > maxEndpoint || !endpointForm.MatchString(e)) {
		errs = append(
			errs,
			field.Invalid(
				path(n.endpoint),
				hidden(e),
				"write scheme, host and port only, such as https://minio.data.svc:9000; the bucket goes into the URL, "+
					"credentials into a Secret",
			),
		)
	}
	if r := at.Region; r != "" && (len(r) > maxRegion || !regionForm.MatchString(r)) {
		errs = append(
			errs,
			field.Invalid(path(n.region), r, "letters, digits and dashes only, such as us-east-1"),
		)
	}
	if at.Endpoint == "" && at.Region == "" {
		errs = append(
			errs,
			field.Required(
				path(n.region),
				"without "+n.endpoint+" the server is AWS; set the bucket's region, or set the endpoint",
			),
		)
	}
	return errs
}

// hidden keeps credentials that somebody wrote into an endpoint out of messages and logs.
func hidden(endpoint string) string {
	if i := strings.LastIndex(endpoint, "@"); i >= 0 {
		return "(hidden)" + endpoint[i:]
	}
	return endpoint
}

func (n annotations) credentials(a map[string]string, at *v1alpha1.S3Location) field.ErrorList {
	secret, account := a[n.secret], a[n.account]
	switch {
	case secret != "" && account != "":
		return field.ErrorList{
			field.Invalid(
				path(n.account),
				account,
				"excludes "+n.secret+"; remove one of them",
			),
		}
	case secret != "":
		at.Credentials = &v1alpha1.Credentials{SecretRef: &v1alpha1.SecretReference{Name: secret}}
		return checkName(n.secret, secret, "Secret")
	case account != "":
		at.Credentials = &v1alpha1.Credentials{ServiceAccountName: account}
		return checkName(n.account, account, "ServiceAccount")
	}
	return nil
}

func checkName(annotation, name, kind string) field.ErrorList {
	if wrong := validation.NameIsDNSSubdomain(name, false); len(wrong) > 0 {
		return field.ErrorList{
			field.Invalid(path(annotation), name, "is not the name of a "+kind+" of this namespace: "+wrong[0]),
		}
	}
	return nil
}
