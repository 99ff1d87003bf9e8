// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/s3populator/s3populator/internal/moverpod"
)

// runAsAuto leaves it to completeMover which user movers are.
const runAsAuto = "auto"

// maxAuthorities bounds --mover-ca-bundle in bytes: it is part of the one argument of every
// mover, and the kernel takes 128 KiB for one. A company's own authorities are a few of them.
const maxAuthorities = 32 << 10

// secretNames must not be in the environment of pods, where everyone who reads pods sees them.
var secretNames = []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}

// readMoverDefaults reads --mover-defaults and --mover-ca-bundle and checks --mover-run-as-user.
func (o *options) readMoverDefaults(text, authorities string) error {
	var wrong []error
	if text != "" {
		if err := strictly(text, &o.MoverDefaults.Mover); err != nil {
			wrong = append(wrong, fmt.Errorf("--mover-defaults: %w; write JSON of the form of spec.mover of an S3Source", err))
		}
	}
	for _, e := range o.MoverDefaults.Mover.Env {
		if slices.Contains(secretNames, e.Name) {
			wrong = append(
				wrong,
				fmt.Errorf("--mover-defaults: env: %s would be read by everyone who may read pods; sources name Secrets", e.Name),
			)
		}
	}
	if authorities != "" {
		pem, err := readAuthorities(authorities)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("--mover-ca-bundle: %w", err))
		}
		o.MoverDefaults.CAPEM = pem
	}
	if o.moverRunAs != runAsAuto {
		id, err := strconv.ParseInt(o.moverRunAs, 10, 32)
		if err != nil || id < 0 {
			wrong = append(wrong, fmt.Errorf("--mover-run-as-user %q: use auto, 0, or the number of a user", o.moverRunAs))
		}
		o.MoverDefaults.RunAs = id
	}
	return errors.Join(wrong...)
}

func strictly(text string, into any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err //nolint:wrapcheck // The caller names the flag.
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is something behind the object")
	}
	return nil
}

func readAuthorities(name string) (string, error) {
	pem, err := os.ReadFile(name) // #nosec G304 -- named by the administrator.
	switch {
	case err != nil:
		return "", err //nolint:wrapcheck // It names the file.
	case len(pem) > maxAuthorities:
		return "", fmt.Errorf(
			"%s has %d bytes, which is over %d; leave out the public authorities, which movers trust anyway",
			name,
			len(pem),
			maxAuthorities,
		)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		return "", fmt.Errorf("%s holds no certificate in PEM", name)
	}
	return string(pem), nil
}

// openShift is served where a namespace's SecurityContextConstraints give pods their users.
const openShift = "security.openshift.io"

// completeMover resolves auto: outside of OpenShift only an fsGroup makes a new volume
// writable, and there only the one that it assigns is admitted.
func (o *options) completeMover(config *rest.Config) error {
	if o.moverRunAs != runAsAuto {
		return nil
	}
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("ask for the API groups: %w", err)
	}
	groups, err := client.ServerGroups()
	if err != nil {
		return fmt.Errorf("ask for the API groups: %w", err)
	}
	o.MoverDefaults.RunAs = runAs(groups)
	return nil
}

func runAs(groups *metav1.APIGroupList) int64 {
	if slices.ContainsFunc(groups.Groups, func(g metav1.APIGroup) bool { return g.Name == openShift }) {
		return 0
	}
	return moverpod.NonRoot
}
