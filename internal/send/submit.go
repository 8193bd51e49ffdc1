package send

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/results"
	"github.com/penstock/penstock/internal/source"
)

// submit hands the source's items to the pool until all are, or ctx ends.
func (r *run) submit(ctx context.Context) {
	items := r.Source.Items()
	if r.Found.Partial {
		items = until(ctx, items)
	}
	for it, err := range items {
		if ctx.Err() != nil || r.awaitReader(ctx) != nil {
			return
		}
		if errors.Is(err, errSilence) {
			if !r.sendAside(ctx) {
				return
			}
			continue
		}
		r.mu.Lock()
		r.read++
		r.order.read(it)
		r.mu.Unlock()
		var failed *source.ItemError
		switch {
		case errors.As(err, &failed):
			r.done(&job{item: failed.Item}, results.Result{Status: item.Failed, Error: failed.Err.Error()})
		case err != nil:
			r.end(exit.Failed, err)
			return
		default:
			if !r.putAside(ctx, it) && !r.submitItem(ctx, it) {
				return
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.whole = true
	r.mu.Unlock()
	if r.sendAside(ctx) {
		r.endIfAlone()
	}
}

// errSilence takes the place of an item that has not come for silentAfter.
var errSilence = errors.New("nothing was read for a while")

// until yields items until ctx ends, also where the next one is waited for:
// standard input may stay silent for hours. Its reader is left behind then, until
// a line comes or the program ends.
func until(ctx context.Context, items iter.Seq2[source.Item, error]) iter.Seq2[source.Item, error] {
	type next struct {
		item source.Item
		err  error
	}
	return func(yield func(source.Item, error) bool) {
		read := make(chan next)
		silent := time.NewTimer(silentAfter)
		defer silent.Stop()
		go func() {
			defer close(read)
			for it, err := range items {
				select {
				case read <- next{it, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case n, more := <-read:
				if !more || !yield(n.item, n.err) {
					return
				}
				silent.Reset(silentAfter)
			case <-silent.C:
				if !yield(source.Item{}, errSilence) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
