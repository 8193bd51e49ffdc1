package acked

import (
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/test"
)

// wrapped hides all but the methods of a net.Conn, and has what is below.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// telling knows by itself.
type telling struct{ net.Conn }

func (telling) Acked() int64 { return 42 }

// connect returns both ends of a TCP connection. The server's has a buffer that is small beside
// what a client may write.
func connect(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	test.OK(t, err)
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	test.OK(t, err)
	s, err := l.Accept()
	test.OK(t, err)
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestAckedByTheKernel(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	client, server := connect(t)
	before, ok := Bytes(client)
	if !ok {
		t.Fatal("nothing is known of a new connection")
	}

	// An answer acknowledges what it is an answer to.
	const size = 100_000
	go func() {
		io.CopyN(io.Discard, server, size)
		server.Write([]byte("ok"))
	}()
	if _, err := client.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(client, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{client, wrapped{client}, wrapped{wrapped{client}}} {
		if n, ok := Bytes(conn); n-before != size || !ok {
			t.Errorf("%T: %d bytes acknowledged, %v; want %d", conn, n-before, ok, size)
		}
	}
	client.Close()
	if n, ok := Bytes(client); ok {
		t.Errorf("%d bytes acknowledged on a closed connection, want that it is not known", n)
	}
}

// What waits in the client's buffer is not acknowledged.
func TestAckedIsNotWritten(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	client, server := connect(t)
	test.OK(t, server.SetReadBuffer(4<<10))
	if err := client.SetWriteBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	const size = 200_000
	if _, err := client.Write(make([]byte, size)); err != nil { // which nobody reads
		t.Fatal(err)
	}
	if n, ok := Bytes(client); !ok || n >= size {
		t.Errorf("%d of %d bytes acknowledged, %v; want less, as nobody reads", n, size, ok)
	}
}

func TestAckedByTheConnection(t *testing.T) {
	l := memnet.Listen()
	defer l.Close()
	c, err := l.DialContext(t.Context(), "", "")
	test.OK(t, err)
	defer c.Close()
	if n, ok := Bytes(c); ok {
		t.Errorf("%d bytes acknowledged on a connection that does not tell", n)
	}
	for _, conn := range []net.Conn{telling{c}, wrapped{telling{c}}} {
		if n, ok := Bytes(conn); n != 42 || !ok {
			t.Errorf("%T: %d, %v; want what it tells", conn, n, ok)
		}
	}
}
