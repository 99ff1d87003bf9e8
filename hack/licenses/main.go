// SPDX-License-Identifier: Apache-2.0

// Command licenses names the licenses of the modules that the images hold, and fails when one is
// not allowed or not known. Which modules those are it asks the go command, and the texts are
// those in the module cache: nothing is looked up elsewhere. With -texts NAME it prints the texts
// for one program instead, which most of the licenses want beside the binary.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
)

// programs are what the images of the Dockerfile hold. The root certificates are linked too, by
// golang.org/x/crypto/x509roots/fallback: its code is under the license of Go, and the
// certificates in it are a list of Mozilla under MPL-2.0, which changes no other license.
var programs = []program{
	{name: "manager", folder: ".", pkg: "./cmd/manager"},
	{name: "mover", folder: ".", pkg: "./cmd/mover"},
	// mc is a process of its own under the AGPL; the image has its license and tells where its source is.
	{name: "mc", folder: "hack/tools/mc", pkg: "github.com/minio/mc", also: []string{"AGPL-3.0", "MPL-2.0"}},
}

func main() {
	texts := flag.String("texts", "", "print the license texts of what this `program` links: manager, mover or mc")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	run := check
	if *texts != "" {
		run = func(ctx context.Context) error { return printTexts(ctx, *texts, os.Stdout) }
	}
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "licenses:", err)
		os.Exit(1)
	}
}

// printTexts writes the texts for a program, and fails when one is missing.
func printTexts(ctx context.Context, name string, to io.Writer) error {
	i := slices.IndexFunc(programs, func(p program) bool { return p.name == name })
	if i < 0 {
		return fmt.Errorf("no image holds a program named %q", name)
	}
	modules, err := collect(ctx, ".", programs[i])
	if err != nil {
		return err
	}
	golang, err := standardLibrary(ctx)
	if err != nil {
		return err
	}
	text, err := texts(append([]linked{golang}, modules...))
	if err != nil {
		return err
	}
	_, err = io.WriteString(to, text)
	return err
}

// check prints what the programs link, and returns what must not be linked.
func check(ctx context.Context) error {
	var all []error
	for _, p := range programs {
		modules, err := collect(ctx, ".", p)
		if err != nil {
			return err
		}
		fmt.Println(summary(p, modules))
		for _, wrong := range judge(p, modules) {
			all = append(all, errors.New(wrong))
		}
	}
	return errors.Join(all...)
}
