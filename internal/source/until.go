package source

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/penstock/penstock/internal/item"
)

// ErrSilence takes the place of an item that has not come for a while, which is no end.
var ErrSilence = errors.New("nothing was read for a while")

// Until yields items until ctx ends, also where the next one is waited for: standard input may stay
// silent for hours. Its reader is left behind then, until a line comes or the program ends. After
// each silentAfter without an item it yields ErrSilence.
func Until(
	ctx context.Context, items iter.Seq2[item.Item, error], silentAfter time.Duration,
) iter.Seq2[item.Item, error] {
	type next struct {
		item item.Item
		err  error
	}
	return func(yield func(item.Item, error) bool) {
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
				if !yield(item.Item{}, ErrSilence) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
