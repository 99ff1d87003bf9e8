// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/populator/queue"
)

// options are all that an administrator can set; parse is the only writer.
type options struct {
	Namespace         string // Where the manager itself runs.
	ServiceName       string // In front of the webhook and the progress endpoint.
	MoverImage        string
	MoverPullPolicy   corev1.PullPolicy
	MoverDefaults     moverpod.Defaults
	moverRunAs        string // As it was given; completeMover resolves it.
	Workers           int
	MaxMovers         queue.Caps
	CopiedAnnotations []string
	LeaderElection    bool
	MetricsAddress    string
	ProbeAddress      string
	PprofAddress      string
	ServingPort       int
	ShutdownDelay     time.Duration
	ShutdownLimit     time.Duration
	Admission         bool
	Progress          bool
	Verbose           bool
	Certificates      certificates
}

// certificates: without files the manager makes and rotates its own.
type certificates struct {
	SecretName           string
	WebhookConfiguration string
	Directory            string // Holds tls.crt, tls.key and ca.crt of a real cert-manager.
	CADuration           time.Duration
	LeafDuration         time.Duration
}

// parse reads flags; the environment gives only what the downward API does.
func parse(args []string, getenv func(string) string) (options, error) {
	var o options
	f := flag.NewFlagSet("manager", flag.ContinueOnError)
	f.StringVar(&o.Namespace, "namespace", getenv("POD_NAMESPACE"), "namespace of the manager (default $POD_NAMESPACE)")
	f.StringVar(&o.ServiceName, "service-name", "s3populator", "Service in front of the webhook and the progress endpoint")
	f.StringVar(&o.MoverImage, "mover-image", getenv("MOVER_IMAGE"), "image of the mover pods (default $MOVER_IMAGE)")
	pull := f.String("mover-image-pull-policy", string(corev1.PullIfNotPresent), "Always, IfNotPresent or Never")
	defaults := f.String("mover-defaults", getenv("MOVER_DEFAULTS"),
		"JSON of the form of spec.mover of a source, for all movers (default $MOVER_DEFAULTS)")
	authorities := f.String("mover-ca-bundle", getenv("MOVER_CA_BUNDLE"),
		"file of certificates in PEM that all movers trust (default $MOVER_CA_BUNDLE)")
	f.StringVar(&o.moverRunAs, "mover-run-as-user", cmp.Or(getenv("MOVER_RUN_AS_USER"), runAsAuto),
		"user, group and fsGroup of movers; 0 leaves them to the platform; auto is 65532, and 0 on OpenShift (default "+
			"$MOVER_RUN_AS_USER, auto)")
	f.IntVar(&o.MaxMovers.Cluster, "max-movers", 200, "movers that run at once in the cluster; 0 for no cap")
	f.IntVar(&o.MaxMovers.Namespace, "max-movers-per-namespace", 100,
		"movers that run at once in one namespace; 0 for no cap")
	f.IntVar(&o.MaxMovers.Endpoint, "max-movers-per-endpoint", 0,
		"movers that read at once from one host of spec.endpoint; 0 for no cap")
	f.IntVar(&o.Workers, "workers", 10, "claims, and sources, that are reconciled in parallel")
	copied := f.String("copy-annotations", "",
		"comma-separated annotations of a claim that its prime gets too, for class parameters that read them")
	f.BoolVar(&o.LeaderElection, "leader-elect", true, "let one of several replicas run the controllers")
	f.StringVar(&o.MetricsAddress, "metrics-address", ":8080", "address of /metrics, 0 for none")
	f.StringVar(&o.ProbeAddress, "probe-address", ":8081", "address of /healthz and /readyz")
	f.StringVar(&o.PprofAddress, "pprof-address", "", "address of /debug/pprof, such as 127.0.0.1:6060; none when empty")
	f.IntVar(&o.ServingPort, "serving-port", 9443, "port of the webhook and the progress endpoint")
	f.DurationVar(&o.ShutdownDelay, "shutdown-delay", 5*time.Second,
		"after SIGTERM, serve until there was no request for this long")
	f.DurationVar(&o.ShutdownLimit, "shutdown-limit", 20*time.Second, "exit at the latest this long after SIGTERM")
	f.BoolVar(&o.Admission, "admission", true, "review new claims, and make the sources that their annotations describe")
	f.BoolVar(&o.Progress, "progress", true, "let movers send live progress")
	f.BoolVar(&o.Verbose, "verbose", false, "log every decision")
	f.StringVar(&o.Certificates.SecretName, "certificate-secret", "s3populator-ca",
		"Secret of the own certificate authority")
	f.StringVar(&o.Certificates.WebhookConfiguration, "webhook-configuration", "s3populator",
		"MutatingWebhookConfiguration whose caBundle is kept")
	f.StringVar(&o.Certificates.Directory, "certificate-directory", "",
		"directory with tls.crt, tls.key and ca.crt, instead of an own authority")
	f.DurationVar(&o.Certificates.CADuration, "ca-duration", 365*24*time.Hour, "lifetime of the own authority")
	f.DurationVar(&o.Certificates.LeafDuration, "leaf-duration", 7*24*time.Hour, "lifetime of its certificates")
	if err := f.Parse(args); err != nil {
		return options{}, fmt.Errorf("parse flags: %w", err)
	}
	o.MoverPullPolicy = corev1.PullPolicy(*pull)
	o.CopiedAnnotations = split(*copied)
	return o, errors.Join(o.readMoverDefaults(*defaults, *authorities), o.validate(f.Args()))
}

func (o options) validate(rest []string) error {
	var wrong []error
	if len(rest) > 0 {
		wrong = append(wrong, fmt.Errorf("unexpected argument %q", rest[0]))
	}
	if o.Namespace == "" {
		wrong = append(wrong, errors.New("--namespace is empty: set it, or POD_NAMESPACE by the downward API"))
	}
	if o.MoverImage == "" {
		wrong = append(wrong, errors.New("--mover-image is empty: set it, or MOVER_IMAGE"))
	}
	if o.Workers < 1 {
		wrong = append(wrong, errors.New("--workers must be at least 1"))
	}
	if o.MaxMovers.Cluster < 0 || o.MaxMovers.Namespace < 0 || o.MaxMovers.Endpoint < 0 {
		wrong = append(wrong, errors.New("--max-movers, --max-movers-per-namespace and --max-movers-per-endpoint must not "+
			"be negative; 0 is no cap"))
	}
	switch o.MoverPullPolicy {
	case corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
	default:
		wrong = append(wrong, fmt.Errorf("--mover-image-pull-policy %q: use Always, IfNotPresent or Never",
			o.MoverPullPolicy))
	}
	for _, a := range o.CopiedAnnotations {
		if strings.Contains(a, "kubernetes.io/") {
			wrong = append(wrong, fmt.Errorf("--copy-annotations %q: annotations of Kubernetes itself steer provisioning and "+
				"are never copied", a))
		}
	}
	return errors.Join(wrong...)
}

func split(list string) []string {
	var all []string
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}
