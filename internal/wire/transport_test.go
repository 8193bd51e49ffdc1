package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Less security cannot be asked for, also where a proxy is in between.
func TestTLSIsOfVersion12OrLater(t *testing.T) {
	for _, n := range []Network{
		{},
		{TLS: &tls.Config{MinVersion: tls.VersionTLS10}},
		{TLS: &tls.Config{MinVersion: tls.VersionTLS13}},
		{HTTP2: true, StallTimeout: 1},
	} {
		var config *tls.Config
		switch base := (&Transport{Network: n}).newPool(poolKey{}).(type) {
		case *http.Transport:
			config = base.TLSClientConfig
		case *watched:
			config = base.TLSClientConfig
		}
		if config == nil || config.InsecureSkipVerify || config.MinVersion < tls.VersionTLS12 {
			t.Errorf("%+v: %+v", n, config)
		}
		if n.TLS != nil && n.TLS == config {
			t.Error("the caller's settings were changed")
		}
	}
}

// closing notes that it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}

// What is called before a request leaves may replace it, or have it not leave at all.
func TestBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan string, 1)
		tr := &Transport{Network: serve(t, func(c net.Conn) {
			b := make([]byte, 100)
			n, _ := c.Read(b)
			seen <- string(b[:n])
		})}
		t.Cleanup(tr.CloseIdleConnections)
		refusal := errors.New("not now")
		tr.Before = func(req *http.Request) (*http.Request, error) {
			if req.Method == http.MethodPost {
				return nil, refusal
			}
			out := req.Clone(req.Context())
			out.URL.Path = "/other"
			return out, nil
		}
		body := &closing{Reader: strings.NewReader("x")}
		req, _ := http.NewRequest(http.MethodPost, "http://h.example/", body)
		_, err := tr.RoundTrip(req)
		var notSent interface{ RetryAt() time.Time }
		if !errors.Is(err, refusal) || !errors.As(err, &notSent) || err.Error() != "not now" {
			t.Errorf("%v", err)
		}
		if !body.closed {
			t.Error("the body is left open")
		}
		req, _ = http.NewRequest(http.MethodPut, "http://h.example/", nil)
		if _, err = tr.RoundTrip(req); err == nil {
			t.Error("there is an answer")
		}
		if head := <-seen; !strings.HasPrefix(head, "PUT /other ") || req.URL.Path != "/" {
			t.Errorf("it sends %q, for %s", head, req.URL)
		}
	})
}

// Errors of a connection that a body is sent on do not begin with its addresses.
func TestExplainedWithoutPrefix(t *testing.T) {
	req, err := http.NewRequest("PUT", "http://h/", nil)
	test.OK(t, err)
	broken := &net.OpError{Op: "readfrom", Net: "tcp", Err: syscall.EINVAL}
	for _, err := range []error{
		broken,
		fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", broken),
	} {
		if got := new(Transport).explain(req, err); got.Error() != "invalid argument" {
			t.Errorf("%v: %v", err, got)
		}
	}
}

// An EOF is a lost connection unless it is one of the body.
func TestLostConnections(t *testing.T) {
	req, err := http.NewRequest("PUT", "http://h/", nil)
	test.OK(t, err)
	torn := fmt.Errorf("the file: %w", io.ErrUnexpectedEOF)
	tr := &Transport{BodyFault: func(err error) bool { return errors.Is(err, torn) }}
	for err, want := range map[error]string{
		io.EOF:                    "the server closed the connection without an answer",
		syscall.ECONNRESET:        "the server closed the connection without an answer",
		torn:                      "the file: unexpected EOF",
		context.Canceled:          "context canceled",
		&notSentError{io.EOF}:     "EOF",
		&StallError{Limit: limit}: "no byte moved for 1 m",
	} {
		if got := tr.explain(req, err); got.Error() != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
}

// told is a connection that reports how many bytes have arrived.
type told struct {
	net.Conn
	acked int64
}

func (c *told) Acked() int64 { return c.acked }

func TestUploads(t *testing.T) {
	var u Uploads[string]
	begin := time.Now().Add(-time.Minute)
	conns := map[string]*told{"a": {acked: 5}, "b": {acked: 7}}
	for _, key := range []string{"a", "b", "b"} {
		ctx := u.Watch(t.Context(), key, func() Upload {
			return Upload{Name: "the " + key, Size: 100, Origin: "http://" + key}
		})
		httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{Conn: conns[key]})
	}
	if all, bytes := u.List(nil); len(all) != 2 || all[0].Name != "the a" || bytes != 0 {
		t.Errorf("%+v, %d bytes", all, bytes)
	}
	if u.Reaches("http://b", begin) {
		t.Error("nothing was acknowledged yet")
	}
	conns["a"].acked, conns["b"].acked = 500, 17
	if all, _ := u.List(nil); all[1].Done != 10 {
		t.Errorf("%+v", all)
	}
	if !u.Reaches("http://b", begin) || u.Reaches("http://c", begin) ||
		u.Reaches("http://b", time.Now()) {
		t.Error("what a server takes was not found")
	}
	var settled, listed bool
	if _, bytes := u.List(func() { listed = true }); bytes != 110 || !listed {
		t.Errorf("%d bytes", bytes) // no more than it has
	}
	u.End("a", func() { settled = true })
	u.End("b", nil)
	if all, bytes := u.List(nil); len(all) > 0 || bytes != 0 || !settled {
		t.Errorf("%+v, %d bytes", all, bytes)
	}
	u.Again("a", "503")
	if name, why := u.Fallen(time.Now()); name != "" || why != "" {
		t.Errorf("%q is sent again since %q, and was not under way", name, why)
	}
	// A network that tells nothing, and a connection that others share, are not followed.
	ctx := u.Watch(t.Context(), "c", func() Upload { return Upload{Size: 1} })
	httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{Conn: struct{ net.Conn }{}})
	if all, _ := u.List(nil); len(all) > 0 {
		t.Errorf("%+v", all)
	}
}

// The last large file that is sent again is named for a while.
func TestUploadsFall(t *testing.T) {
	var u Uploads[string]
	now := time.Now()
	for _, up := range []struct {
		name string
		done int64
	}{{"large", Large}, {"small", Large - 1}} {
		conn := &told{}
		ctx := u.Watch(t.Context(), up.name, func() Upload {
			return Upload{Name: up.name, Size: Large}
		})
		httptrace.ContextClientTrace(ctx).GotConn(httptrace.GotConnInfo{Conn: conn})
		conn.acked = up.done
		u.Again(up.name, "503")
	}
	if name, why := u.Fallen(now); name != "large" || why != "503" {
		t.Errorf("%q is sent again: %q", name, why)
	}
	if name, why := u.Fallen(now.Add(time.Hour)); name != "" || why != "" {
		t.Errorf("%q is sent again: %q, an hour later", name, why)
	}
}
