package send

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// distant returns a dialer that reaches the same server from afar: whatever one side does, the other side
// sees half a round trip later. The goroutines that carry the bytes end with their connection; wait returns
// when all have.
func distant(near dialer, roundTrip time.Duration) (far dialer, wait func()) {
	var carriers sync.WaitGroup
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		time.Sleep(roundTrip)
		there, err := near(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		l := memnet.Listen()
		defer l.Close()
		ours, err := l.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		middle, err := l.Accept()
		if err != nil {
			return nil, err
		}
		carriers.Go(func() { carry(there.(*memnet.Conn), middle.(*memnet.Conn), roundTrip/2) })
		carriers.Go(func() { carry(middle.(*memnet.Conn), there.(*memnet.Conn), roundTrip/2) })
		return ours, nil
	}, carriers.Wait
}

// carry does to one connection what happens at another one, later.
func carry(to, from *memnet.Conn, later time.Duration) {
	type event struct {
		at   time.Time
		data []byte
		err  error
	}
	events := make(chan event, 1024)
	go func() {
		defer close(events)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			events <- event{time.Now().Add(later), b[:n], err}
			if err != nil {
				return
			}
		}
	}()
	for e := range events {
		time.Sleep(time.Until(e.at))
		_, err := to.Write(e.data)
		switch {
		case e.err == nil && err == nil:
		case err != nil: // nobody is there any more: what comes after is answered by a reset
			time.Sleep(later)
			_ = from.Reset()
		case errors.Is(e.err, io.EOF):
			_ = to.CloseWrite()
		default:
			_ = to.Reset()
		}
	}
}
