package cache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/test"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const target = "http://server.example/thing"

var errDown = errors.New("the server is down")

// An origin is a server without a network.
type origin struct {
	mu     sync.Mutex
	asked  []*http.Request
	answer func(*http.Request) (*http.Response, error)
}

func (o *origin) RoundTrip(req *http.Request) (*http.Response, error) {
	o.mu.Lock()
	o.asked = append(o.asked, req)
	answer := o.answer
	o.mu.Unlock()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return answer(req)
}

func (o *origin) requests() []*http.Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked
}

func (o *origin) then(answer func(*http.Request) (*http.Response, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answer = answer
}

// fields makes a header of lines parted by " | ".
func fields(text string) http.Header {
	h := http.Header{}
	for line := range strings.SplitSeq(text, "|") {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			name = textproto.CanonicalMIMEHeaderKey(name)
			h[name] = append(h[name], strings.TrimSpace(value))
		}
	}
	return h
}

// says makes an answer. "now" in the header's text stands for the time.
func says(status int, header, body string) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		h := fields(header)
		for name := range h {
			for i, v := range h[name] {
				if after, ok := strings.CutPrefix(v, "now"); ok {
					d, _ := time.ParseDuration(after)
					h[name][i] = time.Now().Add(d).UTC().Format(http.TimeFormat)
				}
			}
		}
		resp := &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
			ContentLength: int64(len(body)), Request: req,
			Body: io.NopCloser(strings.NewReader(body)),
		}
		if req.Method == http.MethodHead {
			resp.Body = http.NoBody
		}
		return resp, nil
	}
}

func down(*http.Request) (*http.Response, error) { return nil, errDown }

func request(method, url, header string) *http.Request {
	req, err := http.NewRequestWithContext(context.Background(), method, url, nil)
	if err != nil {
		panic(err)
	}
	req.Header = fields(header)
	return req
}

// A got is an answer as a client has it.
type got struct {
	status         int
	header         http.Header
	body, standing string
	err            error
}

func read(resp *http.Response, err error) got {
	if err != nil {
		return got{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s := resp.Header["Cache-Status"]
	g := got{status: resp.StatusCode, header: resp.Header, body: string(body), err: err}
	if len(s) > 0 {
		g.standing = strings.TrimPrefix(s[len(s)-1], "penstock; ")
	}
	return g
}

// ask sends a request and reads the answer.
func askFor(t test.TB, c *Transport, req *http.Request) got {
	t.Helper()
	g := read(c.RoundTrip(req))
	test.OK(t, g.err)
	return g
}

func newCache(o *origin) *Transport { return &Transport{Base: o, MaxBytes: 1 << 20} }

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
