// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Bounds of a request as the arguments of a process. Linux takes 128 KiB per argument and
// 2 MiB for all of them with the environment, etcd 1.5 MiB for the whole pod.
const (
	// maxPlain is up to where a request stays one argument that a person can read.
	maxPlain = 32 << 10
	// maxPiece is how long one argument of a larger one is.
	maxPiece = 96 << 10
	// maxArguments is how long all of them may be.
	maxArguments = 1152 << 10
	// maxRequest bounds what is unpacked: several times what fits into maxArguments.
	maxRequest = 16 << 20
)

// pieceMark begins every argument of a request that takes several:
//
//	s3populator-request/1 NUMBER/COUNT SHA256 DATA
//
// The SHA-256, in hex, is that of the whole JSON, so that pieces of two requests, missing
// ones and reordered ones are noticed. The data of all pieces is one base64 text of the
// gzipped JSON.
const pieceMark = "s3populator-request/1"

// EncodeArgs renders the request as the arguments of a mover: as one of plain JSON, or as
// several where that is too long. The error of a request that is too large names the field.
func (r Request) EncodeArgs() ([]string, error) {
	plain, err := r.Encode()
	if err != nil {
		return nil, err
	}
	if len(plain) <= maxPlain {
		return []string{plain}, nil
	}
	packed, err := pack(plain)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	if len(packed) > maxArguments {
		return nil, r.tooLarge(len(packed))
	}
	sum := sha256.Sum256([]byte(plain))
	pieces := slices.Collect(slices.Chunk([]byte(packed), maxPiece))
	args := make([]string, 0, len(pieces))
	for i, data := range pieces {
		args = append(args, fmt.Sprintf("%s %d/%d %s %s", pieceMark, i+1, len(pieces), hex.EncodeToString(sum[:]), data))
	}
	return args, nil
}

// tooLarge names the field that takes the most.
func (r Request) tooLarge(size int) error {
	field, most := "", -1
	for name, value := range map[string]any{
		"spec.objects": r.Source.Objects, "spec.include": r.Source.Include, "spec.exclude": r.Source.Exclude,
	} {
		if b, err := json.Marshal(value); err == nil && len(b) > most {
			field, most = name, len(b)
		}
	}
	return fmt.Errorf("encode request: %s is too long: the arguments of a mover may have %d bytes and need %d; "+
		"name fewer objects or shorter keys and paths, or select them with spec.prefix and spec.include",
		field, maxArguments, size)
}

// ParseArgs reads the arguments of a mover as ParseRequest does.
func ParseArgs(args []string) (Request, error) {
	if len(args) == 1 && !strings.HasPrefix(args[0], pieceMark+" ") {
		return ParseRequest(args[0])
	}
	text, err := join(args)
	if err != nil {
		return Request{}, fmt.Errorf("parse request: %w", err)
	}
	return ParseRequest(text)
}

func join(args []string) (string, error) {
	var packed strings.Builder
	sum := ""
	for i, a := range args {
		fields := strings.SplitN(a, " ", 4)
		if len(fields) != 4 || fields[0] != pieceMark {
			return "", fmt.Errorf("argument %d is no piece of a request", i+1)
		}
		if want := fmt.Sprintf("%d/%d", i+1, len(args)); fields[1] != want {
			return "", fmt.Errorf("argument %d is piece %.20q, want %s", i+1, fields[1], want)
		}
		if sum == "" {
			sum = fields[2]
		}
		if fields[2] != sum {
			return "", fmt.Errorf("argument %d is a piece of another request", i+1)
		}
		packed.WriteString(fields[3])
	}
	if sum == "" {
		return "", errors.New("there is no argument")
	}
	text, err := unpack(packed.String())
	if err != nil {
		return "", err
	}
	if got := sha256.Sum256([]byte(text)); hex.EncodeToString(got[:]) != sum {
		return "", errors.New("the pieces are damaged: their SHA-256 is another one")
	}
	return text, nil
}

// pack compresses: keys have much in common, and the pod with them is stored and shown.
func pack(text string) (string, error) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return "", err //nolint:wrapcheck // EncodeArgs says what failed.
	}
	if _, err := io.WriteString(w, text); err != nil {
		return "", err //nolint:wrapcheck // As above.
	}
	if err := w.Close(); err != nil {
		return "", err //nolint:wrapcheck // As above.
	}
	return base64.StdEncoding.EncodeToString(b.Bytes()), nil
}

func unpack(packed string) (string, error) {
	r, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(packed)))
	if err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxRequest+1))
	if err != nil {
		return "", fmt.Errorf("unpack: %w", err)
	}
	if len(text) > maxRequest {
		return "", fmt.Errorf("unpack: more than %d bytes", maxRequest)
	}
	return string(text), nil
}
