package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"github.com/penstock/penstock/internal/test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ net.Listener = (*Listener)(nil)
	_ net.Conn     = (*Conn)(nil)
)

// connect returns both ends of a new connection, closed when the test ends.
func connect(t *testing.T) (client, server *Conn) {
	t.Helper()
	l := Listen()
	c, err := l.DialContext(t.Context(), "tcp", "anywhere:80")
	test.OK(t, err)
	s, err := l.Accept()
	test.OK(t, err)
	t.Cleanup(func() { c.Close(); s.Close(); l.Close() })
	return c.(*Conn), s.(*Conn)
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// fails checks how the next read and write fail. If read is nil, nothing is read.
func fails(t *testing.T, c *Conn, read, write error) {
	t.Helper()
	if read != nil {
		_, err := c.Read(make([]byte, 1))
		wantErr(t, "read", err, read)
	}
	_, err := c.Write([]byte("x"))
	wantErr(t, "write", err, write)
}

func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	wantErr(t, what, err, os.ErrDeadlineExceeded)
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("%s: %v is no net.Error with Timeout", what, err)
	}
}

// It is a connection as others are: what is written comes, deadlines of the past, the present and
// the future end what blocks, and all methods may be called at once.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		l := Listen()
		if c1, err = l.DialContext(t.Context(), "tcp", "anywhere:80"); err != nil {
			return nil, nil, nil, err
		}
		c2, err = l.Accept()
		return c1, c2, func() { c1.Close(); c2.Close(); l.Close() }, err
	})
}

func TestWritesDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		const size = bufferSize + 1
		var wg sync.WaitGroup
		for _, b := range []byte("abcd") {
			wg.Go(func() { client.Write(bytes.Repeat([]byte{b}, size)) })
		}
		for range 4 {
			got := make([]byte, size)
			if _, err := io.ReadFull(server, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
				t.Fatal("the bytes of two writes are mixed")
			}
		}
		wg.Wait()
	})
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			io.CopyN(io.Discard, server, 1)
		}()
		if n, err := client.Write(make([]byte, bufferSize)); n != bufferSize || err != nil ||
			time.Since(start) != 0 {
			t.Errorf("filling the buffer: %d, %v after %v", n, err, time.Since(start))
		}
		if n, err := client.Write(make([]byte, 1)); n != 1 || err != nil ||
			time.Since(start) != time.Second {
			t.Errorf("writing to a full buffer: %d, %v after %v, want it to wait for the reader",
				n, err, time.Since(start))
		}
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := connect(t)
		start := time.Now()
		buf := make([]byte, 8)

		// A full buffer times out, and says how much went before.
		client.SetWriteDeadline(start.Add(3 * time.Second))
		n, err := client.Write(make([]byte, bufferSize+1))
		wantTimeout(t, "write", err)
		if d := time.Since(start); n != bufferSize || d != 3*time.Second {
			t.Errorf("write timed out after %v and %d bytes", d, n)
		}

		// Moving the deadline also acts on calls that block already, both ways.
		for _, want := range []time.Duration{5 * time.Second, 7 * time.Second} {
			client.SetDeadline(start.Add(9 * time.Second))
			go func() {
				time.Sleep(time.Second)
				client.SetDeadline(start.Add(want))
			}()
			_, err = client.Read(buf)
			wantTimeout(t, "read with a moved deadline", err)
			if d := time.Since(start); d != want {
				t.Errorf("read timed out after %v, want %v", d, want)
			}
		}
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		client.Write([]byte("bye"))
		client.Close()

		got, err := io.ReadAll(server)
		if string(got) != "bye" || err != nil {
			t.Errorf("peer read %q, %v; want what was written, then EOF", got, err)
		}
		fails(t, server, nil, syscall.EPIPE)
		fails(t, client, net.ErrClosed, net.ErrClosed)
		wantErr(t, "closing again", client.Close(), net.ErrClosed)
		wantErr(t, "own deadline", client.SetDeadline(time.Now()), net.ErrClosed)
	})
}

func TestHalfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		client.Write([]byte("question"))
		client.CloseWrite()
		fails(t, client, nil, syscall.EPIPE)

		got, _ := io.ReadAll(server)
		server.Write(bytes.ToUpper(got))
		server.Close()
		if got, err := io.ReadAll(client); string(got) != "QUESTION" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
	})
}

func TestReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := connect(t)
		server.Write([]byte("lost"))
		server.CloseWrite()
		server.Reset()

		_, err := client.Read(make([]byte, 8))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" {
			t.Errorf("the peer's read: %v is no net.OpError of a read", err)
		}
		fails(t, client, syscall.ECONNRESET, syscall.ECONNRESET)
		fails(t, server, net.ErrClosed, net.ErrClosed)
		if err := client.Close(); err != nil {
			t.Errorf("closing after the peer's reset: %v", err)
		}
		fails(t, client, net.ErrClosed, net.ErrClosed)
	})
}

// Reads and writes that wait return when their wait ends for any reason.
func TestWokenByTheEnd(t *testing.T) {
	ends := map[string]struct {
		end         func(client, server *Conn)
		read, write error
	}{
		"own close":  {func(c, s *Conn) { c.Close() }, net.ErrClosed, net.ErrClosed},
		"own reset":  {func(c, s *Conn) { c.Reset() }, net.ErrClosed, net.ErrClosed},
		"peer close": {func(c, s *Conn) { s.Close() }, io.EOF, syscall.EPIPE},
		"peer reset": {func(c, s *Conn) { s.Reset() }, syscall.ECONNRESET, syscall.ECONNRESET},
		"deadline": {func(c, s *Conn) { c.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded,
			os.ErrDeadlineExceeded},
	}
	for name, tt := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := connect(t)
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, err := client.Read(make([]byte, 1))
						wantErr(t, "read", err, tt.read)
					})
					wg.Go(func() {
						_, err := client.Write(make([]byte, bufferSize+1))
						wantErr(t, "write", err, tt.write)
					})
				}
				synctest.Wait()
				tt.end(client, server)
				wg.Wait()
			})
		})
	}
}

func TestDialRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		l := Listen()
		waiting, err := l.DialContext(ctx, "", "")
		test.OK(t, err)
		l.Refuse(true)
		_, err = waiting.Read(make([]byte, 1))
		wantErr(t, "connection that nobody accepted", err, syscall.ECONNRESET)
		_, err = l.DialContext(ctx, "", "")
		wantErr(t, "dial while refusing", err, syscall.ECONNREFUSED)

		l.Refuse(false)
		if _, err := l.DialContext(ctx, "", ""); err != nil {
			t.Errorf("dial after refusing: %v", err)
		}
		if _, err := l.Accept(); err != nil {
			t.Errorf("accept after refusing: %v", err)
		}

		time.AfterFunc(time.Second, func() { l.Close() })
		for _, what := range []string{"accept when it is closed", "accept after that"} {
			_, err = l.Accept()
			wantErr(t, what, err, net.ErrClosed)
		}
		_, err = l.DialContext(ctx, "", "")
		wantErr(t, "dial after close", err, syscall.ECONNREFUSED)
		wantErr(t, "closing again", l.Close(), net.ErrClosed)
	})
}

func TestFullBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		for range backlog {
			if _, err := l.DialContext(t.Context(), "", ""); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.DialContext(ctx, "", "")
		wantErr(t, "dial with a full backlog", err, context.DeadlineExceeded)
		if d := time.Since(start); d != time.Second {
			t.Errorf("dial gave up after %v, want 1s", d)
		}

		go func() {
			time.Sleep(time.Second)
			l.Accept()
		}()
		if _, err = l.DialContext(t.Context(), "", ""); err != nil ||
			time.Since(start) != 2*time.Second {
			t.Errorf("dial: %v after %v, want it to wait for the accept at 2s", err,
				time.Since(start))
		}
	})
}

func TestHTTPOnFakeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		handler := func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			time.Sleep(3 * time.Second)
			if _, _, err := net.SplitHostPort(r.RemoteAddr); err != nil {
				t.Error(err)
			}
			io.WriteString(w, strings.Repeat("y", int(n)))
		}
		server := &http.Server{Handler: http.HandlerFunc(handler)}
		go server.Serve(l)
		transport := &http.Transport{DialContext: l.DialContext}
		client := &http.Client{Transport: transport, Timeout: 4 * time.Second}

		start := time.Now()
		const size = 10 * bufferSize
		for range 2 {
			resp, err := client.Post("http://memnet/", "text/plain",
				strings.NewReader(strings.Repeat("x", size)))
			test.OK(t, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if len(body) != size || err != nil {
				t.Errorf("answer of %d bytes, %v", len(body), err)
			}
		}
		if d := time.Since(start); d != 6*time.Second {
			t.Errorf("two requests took %v, want 6s", d)
		}

		// The client's timeout is a deadline that works, and the connection ends.
		client.Timeout = time.Second
		_, err := client.Get("http://memnet/")
		if err == nil || time.Since(start) != 7*time.Second {
			t.Errorf("a timeout of 1s: %v after %v", err, time.Since(start))
		}

		transport.CloseIdleConnections()
		server.Close()
		time.Sleep(3 * time.Second) // for the handler, which nobody waits for
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	l := Listen()
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
		}),
	}
	go server.Serve(l)
	defer server.Close()
	transport := &http.Transport{DialContext: l.DialContext}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Get("http://memnet/")
		test.OK(b, err)
		resp.Body.Close()
	}
}
