package clientconn

import (
	"context"
	"net"
	"syscall"
	"time"
)

type connKey struct{}

// With returns the context of a connection, by which its requests find it. It is for the field
// ConnContext of http.Server.
func With(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// From returns the connection of a request's context; nil if [With] was not called.
func From(ctx context.Context) net.Conn {
	c, _ := ctx.Value(connKey{}).(net.Conn)
	return c
}

// Watch calls gone if the client goes away while the body of its request waits to be read, which
// net/http notices only behind the body. It ends with stop, before anything is read. Where the
// system does not tell, gone is not called. A connection around another one must have the method
// NetConn, as that of crypto/tls has.
func Watch(ctx context.Context, gone func()) (stop func()) {
	c := From(ctx)
	if around, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = around.NetConn()
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
