package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"

	"github.com/dunglas/httpsfv"

	"github.com/penstock/penstock/internal/clientconn"
	"github.com/penstock/penstock/internal/conceal"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/nethttp"
	"github.com/penstock/penstock/internal/outbox"
	"github.com/penstock/penstock/internal/prefer"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/secret"
	"github.com/penstock/penstock/internal/status"
	"github.com/penstock/penstock/internal/timing"
)

// fullFor is how long a client is told to stay away at least while the store is full.
const fullFor = 5 * time.Second

// mostClient is how many bytes of a client's name are stored.
const mostClient = 200

// respondAsync is the preference of a client that does not wait (RFC 7240, section 4.1).
const respondAsync = "respond-async"

// async reports whether a request is to be stored and sent later. Where it is safe to ask again,
// the client wants to know now.
func (r *Relay) async(req *http.Request) bool {
	switch {
	case r.Store == nil:
		return false // a preference may be ignored
	case storable(req.Method), req.Method == http.MethodOptions:
		return false
	}
	_, prefers := prefer.Get(req.Header, respondAsync)
	return prefers || slices.Contains(r.Async, req.Method)
}

// accept stores a request, and answers that it will be sent. What is stored is what a live request
// would have sent, so the same proxy prepares it.
func (r *Relay) accept(w *clientconn.Writer, rw http.ResponseWriter, req *http.Request, t *target) {
	if name := credentialIn(req); name != "" {
		r.refuse(w, problem.Refusal(http.StatusBadRequest, status.NotStored(name)))
		return
	}
	if req.ContentLength > r.StoreBytes {
		r.refuse(w, r.tooLarge())
		return
	}
	c := &call{target: t, uri: req.URL.RequestURI()}
	c.trace.Client = clientconn.NameOf(req)
	c.Context, c.cancel = context.WithCancelCause(req.Context())
	defer c.cancel(nil)
	req = req.WithContext(c)
	if req.Body != nil && req.Body != http.NoBody {
		req.Body = clientconn.Guard(rw, req.Body, r.Stall, &c.fault)
	}
	r.intake.ServeHTTP(w, req)
}

// credentialIn names a credential that a request has; "" if it has none. What is called like one
// counts as one: it is not to be on disk.
func credentialIn(req *http.Request) string {
	for name, values := range req.Header {
		held := func(v string) bool { return secret.Held(name, v) }
		if slices.ContainsFunc(values, held) || conceal.Credential(name, values) {
			return name
		}
	}
	_, name := conceal.WithoutCredentials(req.URL.RequestURI())
	return name
}

func (r *Relay) tooLarge() *problem.Document {
	return problem.Refusal(http.StatusRequestEntityTooLarge, status.TooLargeToStore(r.StoreBytes))
}

// newIntake returns the proxy whose only server is the store.
func (r *Relay) newIntake() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:      r.rewrite,
		Transport:    depositor{r},
		ErrorHandler: r.failed,
		BufferPool:   r.proxy.BufferPool,
		ErrorLog:     r.proxy.ErrorLog,
	}
}

// A depositor is a transport that stores requests.
type depositor struct{ r *Relay }

func (d depositor) RoundTrip(req *http.Request) (*http.Response, error) {
	r, c := d.r, callOf(req.Context())
	_, preferred := prefer.Get(req.Header, respondAsync)
	wait := time.Duration(0)
	if _, ok := prefer.Get(req.Header, "wait"); ok {
		wait = r.patience(req.Header).Duration
	}
	h := req.Header
	// What is about this message alone, and how the client would have the answer encoded: who asks
	// for that later may be another one.
	for _, name := range []string{"Expect", "Te", "Trailer", "Accept-Encoding"} {
		h.Del(name)
	}
	prefer.Remove(h, respondAsync, "wait")
	stored := outbox.Request{
		Client: human.Cut(c.trace.Client, mostClient),
		Target: c.target.stored(),
		Method: req.Method,
		URI:    c.uri,
		Header: h,
	}
	if r.Idempotent && !nethttp.Repeatable(req) {
		stored.Key = newKey()
	}
	body := &io.LimitedReader{N: r.StoreBytes + 1}
	var from io.Reader
	if req.Body != nil {
		defer req.Body.Close()
		body.R, from = req.Body, body
	}
	e, err := r.Store.Put(stored, from)
	if err != nil {
		return nil, r.notStored(c, err, body.N == 0)
	}
	r.tally.store()
	r.stored.Wake()
	if wait > 0 {
		if resp := r.awaited(req, e.ID, wait); resp != nil {
			return resp, nil
		}
		if now, err := r.Store.Get(e.ID); err == nil {
			e = now
		}
	}
	text, err := json.Marshal(acceptance{e.ID, e.State, RequestsPath + e.ID})
	if err != nil {
		return nil, err
	}
	resp := &http.Response{
		StatusCode: http.StatusAccepted, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Location":      {RequestsPath + e.ID},
			"Content-Type":  {"application/json"},
			"Cache-Control": {"no-store"},
			"Server-Timing": {timing.Value(nil)},
		},
		ContentLength: int64(len(text)) + 1,
		Body:          io.NopCloser(bytes.NewReader(append(text, '\n'))),
		Request:       req,
	}
	if preferred {
		resp.Header.Set("Preference-Applied", respondAsync)
	}
	return resp, nil
}

// An acceptance is the body of 202.
type acceptance struct {
	ID    string       `json:"id"`
	State outbox.State `json:"state"`
	URL   string       `json:"url"` // where to ask what became of the request
}

// notStored says why a request could not be stored.
//
// A store that is full gets room as soon as something is delivered, so the client is to come again:
// 503 says when. 507 says that it must not do so by itself (RFC 4918, section 11.5), which is right
// for a disk that a person has to look after.
func (r *Relay) notStored(c *call, err error, tooLarge bool) error {
	var fault *outbox.Error
	switch {
	case errors.Is(err, outbox.ErrFull) && tooLarge:
		return r.tooLarge()
	case errors.Is(err, outbox.ErrFull):
		s := r.Store.Stats()
		return problem.Later(status.StoreFull(s.Waiting+s.Sending, s.Failed+s.Unknown,
			human.Size(s.Bytes)), max(r.estimate(c.target.key, ""), fullFor))
	case errors.Is(err, outbox.ErrClosed):
		return problem.Later(status.RelayStopping, r.StopTimeout)
	case errors.As(err, &fault):
		code := http.StatusInternalServerError
		if fault.Fault == outbox.Full || fault.Fault == outbox.Unwritten {
			code = http.StatusInsufficientStorage
		}
		return problem.Refusal(code, status.CannotStore(fault))
	}
	return err
}

// newKey returns an idempotency key as it stands in the header.
func newKey() string {
	key, err := httpsfv.Marshal(httpsfv.NewItem(strings.ToLower(rand.Text())))
	if err != nil {
		panic(err) // letters and digits
	}
	return key
}
