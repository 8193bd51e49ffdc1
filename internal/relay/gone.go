package relay

import (
	"context"
	"net"
	"syscall"
	"time"
)

type connKey struct{}

// withConn returns the context of a connection, by which its requests find it.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// watch calls gone if the client goes away while the body of its request waits to be read, which
// net/http notices only behind the body. It ends with stop, before anything is read. Where the
// system does not tell, gone is not called.
func watch(ctx context.Context, gone func()) (stop func()) {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	if p, ok := c.(*parked); ok {
		c = p.Conn
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return func() {}
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return func() {}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if raw.Read(hungUp) == nil {
			gone()
		}
	}()
	return func() {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		<-ended
		_ = c.SetReadDeadline(time.Time{})
	}
}
