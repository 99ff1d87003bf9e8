// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// PruneOptions tell the complete run whose objects go, which Export.Run names, from all others.
type PruneOptions struct {
	// Claim is the UID of the claim that the run was made of, and those that stay.
	Claim string `json:"claim,omitempty"`
	// Digest of the run's manifest, as its mover reported it: a manifest that lists anything else is not believed.
	Digest string `json:"digest,omitempty"`
	// Kept are the complete runs of the claim whose objects stay, the newest first. Nothing is removed unless
	// the manifest of each is there, and every object of the newest.
	Kept []KeptRun `json:"kept,omitempty"`
}

// KeptRun is a complete run.
type KeptRun struct {
	Run    string `json:"run"`    // UID of its S3Export.
	Prefix string `json:"prefix"` // Ends in "/".
	Digest string `json:"digest"`
}

// checkPrune refuses what could remove the objects of the only run, or those of a prefix that others share.
func checkPrune(r Request) error {
	p := r.Prune
	if r.Operation != Prune {
		if !reflect.ValueOf(p).IsZero() {
			return fmt.Errorf("prune is set for operation %s", r.Operation)
		}
		return nil
	}
	switch {
	case r.Export.Key != "":
		return errors.New("export.key is set for operation Prune")
	case r.Source.Prefix == "":
		return errors.New("source.prefix is empty: a whole bucket is no run")
	case !IsUID(p.Claim):
		return fmt.Errorf("prune.claim %q is not a UID", p.Claim)
	case p.Digest == "":
		return errors.New("prune.digest is empty")
	case len(p.Kept) == 0:
		return errors.New("prune.kept is empty: the only complete run of a claim stays")
	}
	return checkKept(r)
}

func checkKept(r Request) error {
	for _, k := range r.Prune.Kept {
		switch {
		case !IsUID(k.Run), k.Digest == "":
			return fmt.Errorf("prune.kept: %q with the digest %q is no run", k.Run, k.Digest)
		case k.Run == r.Export.Run:
			return errors.New("prune.kept has the run itself")
		case k.Prefix != "" && !strings.HasSuffix(k.Prefix, "/"):
			return fmt.Errorf("prune.kept: prefix %q does not end in a slash", k.Prefix)
		case k.Prefix == r.Source.Prefix:
			return fmt.Errorf("prune.kept: run %s has the same prefix", k.Run)
		}
	}
	return nil
}
