// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/api/v1alpha1"
	"github.com/s3populator/s3populator/mover/wire"
)

// state of the data on a volume.
type state string

// The states of a volume's data.
const (
	empty   state = "empty"
	foreign state = "foreign" // Somebody's, and not to be had again.
	partial state = "partial"
	full    state = "full"
)

// content is what is on a volume.
type content struct {
	state state
	// claim and wish of partial and full content: for whom, and what of S3.
	claim, wish string
	// journal of the mover that fills it; empty when there is none.
	journalClaim string
	journalPod   types.UID
}

// wishOf is what a source selects, as far as this S3 tells things apart.
func wishOf(bucket, prefix string) string { return bucket + "/" + prefix }

func (w *world) readRequest(p *process, pod *corev1.Pod) {
	var request struct {
		Source struct {
			Bucket string `json:"bucket"`
			Prefix string `json:"prefix"`
		} `json:"source"`
		Attempt int `json:"attempt"`
	}
	w.must(json.Unmarshal([]byte(strings.Join(pod.Spec.Containers[0].Args, "")), &request))
	p.mover, p.claimUID = true, pod.Labels[v1alpha1.LabelClaimUID]
	p.wish = wishOf(request.Source.Bucket, request.Source.Prefix)
	p.attempt = request.Attempt
}

// moverActions are the steps of every process, on cut-off nodes too. A mover looks, takes
// the volume over, writes, and ends; docs/design/0013 is its contract.
func (w *world) moverActions() []action {
	var list []action
	for _, p := range w.processes {
		if p.ended || p.cutOff {
			continue
		}
		if p.mover {
			list = append(list, action{"mover", p.name + " goes on", 5, func() { w.move(p) }})
			if !w.settling && w.setting.interference {
				list = append(list, action{"mover", p.name + " fails", 1, func() { w.fail(p) }})
			}
		} else if !writesAny(p) {
			list = append(list, action{"consumer", p.name + " ends", 5, func() { p.ended = true }})
		}
	}
	return list
}

func writesAny(p *process) bool {
	for _, m := range p.mounts {
		if m.writable {
			return true
		}
	}
	return false
}

func (w *world) move(p *process) {
	if len(p.mounts) == 0 || !p.mounts[0].writable {
		p.end(wire.Report{Class: wire.User, Reason: wire.VolumeNotWritable, Message: "The volume cannot be written."})
		return
	}
	c := w.contents[p.mounts[0].volume]
	if c == nil {
		p.end(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "The volume is gone."})
		return
	}
	if p.stage == 0 {
		w.look(p, c)
		return
	}
	if c.journalPod != p.pod {
		p.end(wire.Report{Class: wire.Retry, Reason: wire.Fenced, Message: "Another mover has the volume."})
		return
	}
	w.oracle.writes(p, c)
	if p.stage == 1 {
		p.stage, c.state, c.claim, c.wish = 2, partial, p.claimUID, p.wish
		w.say("  writes a part of %s to %s", p.wish, p.mounts[0].name)
		return
	}
	c.state, c.journalClaim, c.journalPod = full, "", ""
	w.say("  has written all of %s to %s", p.wish, p.mounts[0].name)
	p.end(
		wire.Report{
			Class:          wire.Done,
			Began:          true,
			Objects:        7,
			Bytes:          1 << 20,
			FetchedBytes:   1 << 20,
			Seconds:        1,
			ManifestDigest: "sha256:" + p.wish,
		},
	)
}

// look decides by what is there, and takes the volume over.
func (w *world) look(p *process, c *content) {
	switch {
	case c.journalClaim == p.claimUID,
		c.state == empty && c.journalClaim == "":
	case c.state == full && c.wish == p.wish && c.claim == p.claimUID && p.attempt > 1:
	default:
		w.oracle.refused[p.mounts[0].volume] = true
		p.end(
			wire.Report{
				Class:   wire.User,
				Reason:  wire.VolumeNotEmpty,
				Held:    true,
				Message: "The volume holds what no mover of this claim wrote: a, b, c.",
			},
		)
		return
	}
	w.oracle.writes(p, c)
	c.journalClaim, c.journalPod, p.stage = p.claimUID, p.pod, 1
}

func (p *process) end(r wire.Report) { p.ended, p.report = true, &r }

// fail ends a mover in one of the ways in which S3, the disk and the kernel can.
func (w *world) fail(p *process) {
	began := p.stage > 0
	switch w.choices.below(4) {
	case 0:
		p.end(wire.Report{Class: wire.Retry, Reason: wire.TransferFailed, Message: "The disk is slow.", Began: began})
	case 1:
		p.end(wire.Report{Class: wire.RetryUncounted, Reason: wire.Throttled, Message: "Slow down.", Began: began})
	case 2:
		p.ended = true // Killed: it leaves no report.
	default:
		p.end(wire.Report{Class: wire.User, Reason: wire.AccessDenied, Message: "The key is not known.", Began: began})
	}
}
