package verify

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/item"
	"github.com/penstock/penstock/internal/reply"
	"github.com/penstock/penstock/throttle"
)

const (
	askTimeout = time.Minute
	// slowestAnswer is how many bytes a second a file must come back with.
	slowestAnswer = 1 << 20
)

// A finding is what one request found.
type finding struct {
	Verdict
	note string
	more bool // GET may show more than HEAD did
}

// find asks by HEAD, and by GET if that may show more.
func (v *Verifier) find(
	ctx context.Context, it item.Item, header http.Header, want *Known,
) (finding, error) {
	f, err := v.ask(ctx, http.MethodHead, it, header, want)
	if err == nil && f.more {
		f, err = v.ask(ctx, http.MethodGet, it, header, want)
	}
	return f, err
}

var errNoAnswer = errors.New("no answer in time")

// ask sends one request, and compares what is answered.
func (v *Verifier) ask(
	ctx context.Context, method string, it item.Item, header http.Header, want *Known,
) (finding, error) {
	limit := cmp.Or(v.Timeout, askTimeout)
	if method == http.MethodGet {
		limit += time.Duration(it.Size/slowestAnswer) * time.Second
	}
	asking, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The time runs from when there is a connection: before, a request waits for its turn.
	start := sync.OnceValue(func() *time.Timer {
		return time.AfterFunc(limit, func() { cancel(errNoAnswer) })
	})
	defer func() { start().Stop() }()
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { start() }}
	traced := httptrace.WithClientTrace(asking, trace)
	req, err := http.NewRequestWithContext(traced, method, it.URL, nil)
	if err != nil {
		return finding{note: "its URL cannot be asked"}, nil
	}
	req.Header = askHeader(header)
	req.Header.Del(v.KeyHeader)
	client := *v.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		return unanswered(asking, err)
	}
	start()
	if resp.StatusCode != http.StatusOK {
		reply.Read(resp)
		return judgeRefusal(resp), nil
	}
	defer resp.Body.Close()
	f, err := weigh(ctx, resp, it, want)
	if err == nil && f.more && method == http.MethodGet {
		f, err = read(asking, resp.Body, it, want)
	}
	if ctx.Err() != nil {
		return finding{}, context.Cause(ctx)
	}
	return f, err
}

// askHeader returns the header to ask with: the upload's without what speaks of its body or sets
// conditions.
func askHeader(upload http.Header) http.Header {
	h := make(http.Header, len(upload)+3)
	for name, values := range upload {
		switch {
		case strings.HasPrefix(name, "Content-"), strings.HasPrefix(name, "If-"):
		case name == "Idempotency-Key", name == "Expect", name == "Range",
			name == "Digest", name == "Repr-Digest":
		default:
			h[name] = values
		}
	}
	h.Set("Accept-Encoding", "identity")
	h.Set("Cache-Control", "no-cache") // a cache may know no more than that nothing was there
	h.Set("Want-Repr-Digest", "sha-256=10, sha-512=3")
	return h
}

// A NoAnswerError is why a question has no answer. Err is the transport's, with whatever secrets
// are in its text.
type NoAnswerError struct{ Err error }

func (e *NoAnswerError) Error() string { return "no answer" }

// Unwrap returns Err.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// unanswered finds out why there is no answer.
func unanswered(asking context.Context, err error) (finding, error) {
	var paused *throttle.PausedError
	var stopped *throttle.StopError
	switch {
	case context.Cause(asking) == errNoAnswer, errors.Is(err, context.DeadlineExceeded):
		return finding{note: errNoAnswer.Error()}, nil
	case errors.As(err, &paused):
		return finding{note: "the server asked us to wait"}, nil
	case errors.As(err, &stopped):
		return finding{note: "the run ended before it was asked"}, nil
	}
	return finding{}, &NoAnswerError{err}
}
