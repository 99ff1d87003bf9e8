// SPDX-License-Identifier: Apache-2.0

package moverpod

import (
	"net/url"
	"strings"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// audience of the token that is shown to an STS. A token whose audience is sts.amazonaws.com
// is worth something at AWS, so only AWS may see one: whoever runs another endpoint could take
// it there. Every other endpoint gets tokens that are for itself alone.
func audience(l v1alpha1.S3Location) string {
	if l.Credentials != nil && l.Credentials.Audience != "" {
		return l.Credentials.Audience
	}
	if l.Endpoint == "" {
		return wire.STSAudience
	}
	u, err := url.Parse(l.Endpoint)
	if err != nil || u.Host == "" {
		return l.Endpoint // The mover refuses such an endpoint before it reads a token.
	}
	if u.Scheme == "https" && aws(u.Hostname()) {
		return wire.STSAudience
	}
	return strings.ToLower(u.Scheme + "://" + u.Host)
}

// aws tells hosts that only AWS can serve.
func aws(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return strings.HasSuffix(host, ".amazonaws.com") || strings.HasSuffix(host, ".amazonaws.com.cn")
}
