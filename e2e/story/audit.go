// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/s3populator/s3populator/e2e/rbac"
)

// auditLog is its name among the logs.
const auditLog = "audit.log"

// neverRotated is a size in megabytes that no run reaches: who reads on from an offset would read
// another file after a rotation, and a count of requests would be short.
const neverRotated = "100000"

// Request is one that somebody made of the API server.
type Request struct {
	// Agent is the name of the program that asked, without its version.
	Agent string
	Verb  string
	rbac.Resource
	Namespace, Name string
	At              time.Time
	Refused         bool // for want of a right, not by a quota or a policy
	Done            bool // it was answered with a success
	DryRun          bool

	manager bool
	pod     string // of the ServiceAccount's token
	stored  stored // by a write of the manager on a volume
}

// stored is what a write left behind, as the API server answered. The audit policy records that of
// volumes alone.
type stored struct {
	at      revision  // zero where the answer is not in the log
	ref     types.UID // the claim that the volume names then
	guarded bool      // the request named the revision that it was about
}

// Write tells that a request changes something.
func (r Request) Write() bool {
	switch r.Verb {
	case "get", "list", "watch":
		return false
	}
	return true
}

func (r Request) changedByManager() bool { return r.manager && r.Write() && r.Done && !r.DryRun }

// Requests are all that the manager made so far. The API server writes a line before it
// answers, so what has been seen to happen is in it.
func (w *World) Requests() ([]Request, error) {
	all, err := w.AllRequests()
	return slices.DeleteFunc(all, func(r Request) bool { return !r.manager }), err
}

// AllRequests are those of everybody, where the options of the world ask for them.
func (w *World) AllRequests() ([]Request, error) {
	all, _, err := w.requestsFrom(0)
	return all, err
}

// requestsFrom reads the audit log from an offset in bytes, and returns where it ended.
func (w *World) requestsFrom(offset int64) (all []Request, end int64, err error) {
	if !w.audited {
		return nil, offset, errors.New("the node was started without an audit log")
	}
	f, err := os.Open(filepath.Join(w.logDir(), auditLog))
	if err != nil {
		return nil, offset, fmt.Errorf("open the audit log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, offset, fmt.Errorf("read the audit log: %w", err)
	}
	for lines := bufio.NewReader(f); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return all, offset, nil // a line that is being written is not counted
		}
		if err != nil {
			return nil, offset, fmt.Errorf("read the audit log: %w", err)
		}
		offset += int64(len(line))
		r, ok, err := parseRequest(line)
		if err != nil {
			return nil, offset, fmt.Errorf("parse the audit log: %w", err)
		}
		if ok {
			all = append(all, r)
		}
	}
}

// parseRequest reads one line of the audit log; false for what names no resource, such as
// discovery.
func parseRequest(line []byte) (Request, bool, error) {
	var e struct {
		Stage, Verb string
		RequestURI  string
		UserAgent   string
		User        struct {
			Username string
			Extra    map[string][]string
		}
		ObjectRef *struct{ Resource, Subresource, APIGroup, Namespace, Name string }
		// StageTimestamp is when the answer was complete.
		StageTimestamp time.Time
		ResponseStatus struct{ Code int }
		Annotations    map[string]string

		RequestObject, ResponseObject json.RawMessage
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return Request{}, false, err
	}
	// A watch is told when it begins and when it ends; everything else once.
	if e.ObjectRef == nil || e.Stage == "ResponseStarted" && e.Verb != "watch" ||
		e.Stage == "ResponseComplete" && e.Verb == "watch" {
		return Request{}, false, nil
	}
	o := e.ObjectRef
	resource := o.Resource
	if o.Subresource != "" {
		resource += "/" + o.Subresource
	}
	agent, _, _ := strings.Cut(e.UserAgent, "/")
	return Request{
		Agent:     agent,
		manager:   e.User.Username == managerAccount,
		pod:       strings.Join(e.User.Extra["authentication.kubernetes.io/pod-name"], ""),
		Verb:      e.Verb,
		Resource:  rbac.Resource{Group: o.APIGroup, Name: resource},
		Namespace: o.Namespace,
		Name:      o.Name,
		At:        e.StageTimestamp,
		Refused:   e.Annotations["authorization.k8s.io/decision"] == "forbid",
		Done:      e.ResponseStatus.Code >= 200 && e.ResponseStatus.Code < 300,
		DryRun:    strings.Contains(e.RequestURI, "dryRun=All"),
		stored:    parseStored(e.RequestObject, e.ResponseObject),
	}, true, nil
}

// parseStored takes a request body that is no object, such as a JSON patch, for one without a
// resourceVersion.
func parseStored(request, response json.RawMessage) (s stored) {
	var asked, answered corev1.PersistentVolume
	s.guarded = json.Unmarshal(request, &asked) == nil && asked.ResourceVersion != ""
	if json.Unmarshal(response, &answered) != nil || answered.Kind != "PersistentVolume" {
		return s
	}
	s.at = revisionOf(answered.ResourceVersion)
	if answered.Spec.ClaimRef != nil {
		s.ref = answered.Spec.ClaimRef.UID
	}
	return s
}
