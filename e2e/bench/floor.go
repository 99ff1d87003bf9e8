// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/e2e/cluster/image"
	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/internal/moverpod"
	"github.com/s3populator/s3populator/mover/wire"
)

// floor is what the node needs for n pods that each write one file into a claim of their own.
func (b *bench) floor(ctx context.Context, namespace string, n int, detailed bool) (m measurement, err error) {
	fmt.Fprintf(b.out, "%s: %d pods that write a file\n", namespace, n)
	if err := b.namespace(ctx, namespace); err != nil {
		return m, err
	}
	if err := b.secret(ctx, namespace); err != nil {
		return m, err
	}
	meter, err := newMeter(b.world)
	if err != nil {
		return m, err
	}
	m.processor, err = processorTimeOf(n, func() (err error) {
		m.ended, err = b.writeAll(ctx, namespace, n)
		return err
	})
	if err != nil {
		return m, err
	}
	m.done = m.ended
	fmt.Fprintf(b.out, "  ended after %.1f s\n", m.ended)
	if detailed {
		if err := sleep(ctx, b.form.rest); err != nil { // As long as ours are counted.
			return m, err
		}
		if m.requests, err = meter.read(n); err != nil {
			return m, err
		}
	}
	if m.read, err = b.readers(ctx, namespace, n, holds(fileName, written)); err != nil {
		return m, err
	}
	m.read += m.done
	return m, b.remove(ctx, namespace)
}

// writeAll makes n claims with a pod each and tells when the last of these has ended, in seconds.
func (b *bench) writeAll(ctx context.Context, namespace string, n int) (float64, error) {
	began := time.Now()
	for i := range n {
		if err := b.writer(ctx, namespace, claimName(i)); err != nil {
			return 0, err
		}
	}
	if err := b.endedPods(ctx, namespace, "", moverpod.ContainerName, n); err != nil {
		return 0, err
	}
	return time.Since(began).Seconds(), nil
}

// What volumes hold: one file, which the probe writes for the floor and which is an object for
// us, of as many bytes.
const (
	fileName = "hello.txt"
	written  = "00000" // The probe's pattern begins so.
	object   = "hello"
)

func claimName(i int) string { return "data-" + strconv.Itoa(i) }

// writer makes a claim and a pod like a mover: the same requests, volumes, security context
// and size of image, but a program that only writes and syncs.
func (b *bench) writer(ctx context.Context, namespace, name string) error {
	claim := b.claim(namespace, name, story.Claim{})
	pod, err := moverpod.New(moverpod.Spec{
		Name: name, Namespace: namespace, ClaimName: name,
		Image:    moverpod.Image{Name: image.Name("floor"), PullPolicy: corev1.PullIfNotPresent},
		Location: v1alpha1.S3Location{Credentials: credentialsOf(secretName)},
		Defaults: moverpod.Defaults{RunAs: moverpod.NonRoot},
		Request:  wire.Request{Progress: wire.Progress{URL: "https://nobody.test"}},
	})
	if err != nil {
		return fmt.Errorf("build pod %s: %w", name, err)
	}
	pod.OwnerReferences = nil
	delete(pod.Labels, v1alpha1.LabelManagedBy) // The manager has nothing to do with it.
	pod.Spec.Containers[0].Args = []string{"write", wire.VolumePath + "/" + fileName, strconv.Itoa(len(written))}
	for _, o := range []client.Object{claim, pod} {
		if err := b.world.Client.Create(ctx, o); err != nil {
			return fmt.Errorf("create %s: %w", o.GetName(), err)
		}
	}
	return nil
}

// endedPods waits until the container of n pods has ended well, as the API tells it.
func (b *bench) endedPods(ctx context.Context, namespace, selector, container string, n int) error {
	var failed error
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := awaitAll(ctx, func(ctx context.Context) (watch.Interface, error) {
		return b.world.Kube.CoreV1().Pods(namespace).Watch(ctx, metav1.ListOptions{LabelSelector: selector})
	}, n, func(p *corev1.Pod) bool {
		end := endOf(p, container)
		if end != nil && end.ExitCode != 0 {
			failed = fmt.Errorf("pod %s ended with %d: %s", p.Name, end.ExitCode, end.Message)
			cancel(failed)
		}
		return end != nil
	})
	return errors.Join(failed, err)
}

func endOf(p *corev1.Pod, container string) *corev1.ContainerStateTerminated {
	for _, c := range p.Status.ContainerStatuses {
		if c.Name == container {
			return c.State.Terminated
		}
	}
	return nil
}
