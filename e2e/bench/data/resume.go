// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/s3populator/s3populator/e2e/story"
	"github.com/s3populator/s3populator/mover/wire"
)

// resumption is what movers fetched twice that were killed.
type resumption struct {
	Machine machine `json:"machine"`
	Engine  string  `json:"engine"`
	Kills   []kill  `json:"kills"`
}

// kill is one mover that was killed, and the one after it. Numbers are MB of 10^6 bytes of
// objects, as the server sent them.
type kill struct {
	Data      string  `json:"data"`
	Percent   int     `json:"percent"` // Of the bytes, when it was killed.
	Total     float64 `json:"total"`
	Refetched float64 `json:"refetched"`
}

func (r *resumption) most() (most float64) {
	for _, k := range r.Kills {
		most = max(most, k.Refetched)
	}
	return most
}

func (r *resumption) table(b *strings.Builder) {
	fmt.Fprintf(b, "### Fetched twice after kill -9, %s\n\n%s\n\n", r.Engine, r.Machine.sentence(1))
	fmt.Fprint(b, "| | killed at | MB in all | MB fetched twice |\n|---|---|---|---|\n")
	for _, k := range r.Kills {
		fmt.Fprintf(b, "| %s | %d %% | %.0f | %.1f |\n", k.Data, k.Percent, k.Total, k.Refetched)
	}
	fmt.Fprintln(b)
}

var resumeData = content{name: "resume_large", crc: true, shapes: func(short bool) []shape {
	size := int64(2 << 30)
	if short {
		size = 80 * story.MiB
	}
	return equal("large", 1, size)
}}

// measureResume kills movers at 25, 50 and 75 % of one large object and of many small ones.
func (b *bench) measureResume(ctx context.Context) (*resumption, error) {
	r := &resumption{Machine: describe(ctx)}
	for _, c := range []content{resumeData, smallData} {
		d, err := b.dataset(c, versityGW)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(b.out, "resume: %d objects in %s\n", len(d.all), d.dir)
		objects, err := d.seed(ctx)
		if err != nil {
			return nil, fmt.Errorf("make the data of %s: %w", c.name, err)
		}
		s, err := d.start(ctx, true)
		if err != nil {
			return nil, err
		}
		for _, percent := range []int{25, 50, 75} {
			k, err := b.killAt(ctx, r, job{binaries: b.binaries, server: s, objects: objects}, percent)
			if err != nil {
				s.stop()
				return nil, fmt.Errorf("%s killed at %d %%: %w", c.name, percent, err)
			}
			k.Data = c.title()
			r.Kills = append(r.Kills, k)
			fmt.Fprintf(b.out, "  killed at %d %% of %.0f MB: %.1f MB fetched twice\n", percent, k.Total, k.Refetched)
		}
		s.stop()
	}
	r.Machine.LoadAfter = load()
	return r, nil
}

func (c content) title() string {
	if c.name == smallData.name {
		return "many small objects"
	}
	return "one large object"
}

// killAt runs a mover, kills it and all its children when the server has sent some of the
// bytes, runs another one to the end, and compares what is there.
func (b *bench) killAt(ctx context.Context, r *resumption, j job, percent int) (k kill, err error) {
	var total int64
	for _, o := range j.objects {
		total += o.Size
	}
	proxy, err := startCounter(j.server, total*int64(percent)/100)
	if err != nil {
		return k, err
	}
	defer proxy.Close()
	defer proxy.release() // Before that: it waits for what is held.
	j.server = &server{address: strings.TrimPrefix(proxy.URL, "http://"), root: j.server.root}
	parent, err := targetDir(b.cache, onMemory, j.objects)
	if err != nil {
		return k, err
	}
	base, err := os.MkdirTemp(parent, "bench-resume-")
	if err != nil {
		return k, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(base)) }()
	j.target = filepath.Join(base, "target")
	if err := os.Mkdir(j.target, 0o755); err != nil {
		return k, err
	}
	if err := b.killFirst(ctx, r, j, base, proxy); err != nil {
		return k, err
	}
	j.scratch = filepath.Join(base, "second")
	again := wire.Request{Attempt: 2, Volume: wire.Volume{Began: true}, Transfer: wire.Transfer{Engine: r.Engine}}
	cmd, err := moverCommand(ctx, j, again, "bench-pod-2")
	if err != nil {
		return k, err
	}
	if _, err := measure(ctx, cmd, j.target); err != nil {
		return k, err
	}
	k = kill{Percent: percent, Total: float64(total) / 1e6, Refetched: float64(proxy.sent.Load()-total) / 1e6}
	return k, compare(j.target, j.objects)
}

// killFirst is the mover that does not end. The first of all also finds out which engine
// there is.
func (b *bench) killFirst(ctx context.Context, r *resumption, j job, base string, proxy *counter) error {
	engines := []string{r.Engine}
	if r.Engine == "" {
		engines = []string{"Native", wire.EngineMC}
	}
	for _, engine := range engines {
		j.scratch = filepath.Join(base, "first-"+engine)
		first := wire.Request{Attempt: 1, Transfer: wire.Transfer{Engine: engine}}
		cmd, err := moverCommand(ctx, j, first, "bench-pod-1")
		if err != nil {
			return err
		}
		killed := make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(killed)
			select {
			case <-proxy.reached:
				_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL)
				proxy.release()
			case <-ended:
			}
		}()
		_, err = measure(ctx, cmd, "")
		close(ended)
		<-killed
		if absent(j) != "" {
			continue
		}
		if err == nil {
			return errors.New("the mover ended before it was killed")
		}
		if text, readErr := os.ReadFile(j.report()); readErr == nil {
			return fmt.Errorf("the mover ended before it was killed: %s: %w", text, err)
		}
		r.Engine = engine
		return nil
	}
	return errors.New("the mover has none of the engines")
}
