// SPDX-License-Identifier: Apache-2.0

package kubetest

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// ErrEnd is what a process sees of the write at which it ends.
var ErrEnd = errors.New("the process ends")

// Process sends writes to a server until one of them, at which it ends: that write arrives or it does not, and no
// later one does.
type Process struct {
	// Ends is the number of the last write, from 1; 0 is never.
	Ends int
	// Lost is a last write that does not arrive.
	Lost bool
	// Writes are those that were tried.
	Writes int
	// End ends the context of the process; nil does nothing.
	End context.CancelFunc
}

func (p *Process) write(do func() error) error {
	p.Writes++
	if p.Ends == 0 || p.Writes < p.Ends {
		return do()
	}
	var err error
	if p.Writes == p.Ends && !p.Lost {
		err = do()
	}
	if p.End != nil {
		p.End()
	}
	return errors.Join(err, ErrEnd)
}

// Client is how the process sees a server, which may be a fake: what is made gets a UID.
func (p *Process) Client(of client.WithWatch) client.WithWatch {
	return interceptor.NewClient(of, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			o.SetUID(types.UID("uid-" + o.GetName()))
			return p.write(func() error { return c.Create(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return p.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		Patch: func(
			ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption,
		) error {
			return p.write(func() error { return c.Patch(ctx, o, patch, opts...) })
		},
		SubResourcePatch: func(
			ctx context.Context, c client.Client, sub string, o client.Object, patch client.Patch,
			opts ...client.SubResourcePatchOption,
		) error {
			return p.write(func() error { return c.SubResource(sub).Patch(ctx, o, patch, opts...) })
		},
	})
}

// Cached reads from an old copy of a server and writes to the server.
func Cached(of client.WithWatch, old client.Reader) client.WithWatch {
	return interceptor.NewClient(of, interceptor.Funcs{
		Get: func(
			ctx context.Context, _ client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption,
		) error {
			return old.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, _ client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			return old.List(ctx, list, opts...)
		},
	})
}
