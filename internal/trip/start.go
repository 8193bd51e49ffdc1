package trip

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptrace"
	"net/textproto"

	"github.com/penstock/penstock/internal/nethttp"
)

// Start returns ctx with hooks that fill t, for a request with such a header. A trace that the
// caller put there goes on working.
func (t *Trip) Start(ctx context.Context, req *http.Request, h http.Header) context.Context {
	t.now()
	t.careful = !nethttp.ResendsAnyway(&http.Request{
		Method: req.Method, Header: h, Body: req.Body, GetBody: req.GetBody,
	})
	t.gated = t.careful && hasBody(req) && req.ContentLength != 0
	hooks := &t.hooks
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		*hooks = *outer
	}
	hooks.GetConn = nethttp.Both(t.connecting, hooks.GetConn)
	hooks.GotConn = nethttp.Both(t.connected, hooks.GotConn)
	if req.URL != nil && req.URL.Scheme == "https" {
		theirs := hooks.TLSHandshakeDone
		hooks.TLSHandshakeDone = func(state tls.ConnectionState, err error) {
			if err != nil {
				t.mark(HandshakeFailed)
			}
			if theirs != nil {
				theirs(state, err)
			}
		}
	}
	if h.Get("Expect") != "" {
		hooks.Wait100Continue = nethttp.BothPlain(func() { t.mark(waitedForContinue) },
			hooks.Wait100Continue)
		hooks.Got100Continue = nethttp.BothPlain(func() { t.mark(GotContinue) },
			hooks.Got100Continue)
	}
	if hasBody(req) {
		hooks.WroteRequest = nethttp.Both(t.wrote, hooks.WroteRequest)
	}
	if !t.gated {
		hooks.WroteHeaders = nethttp.BothPlain(t.wroteHeaders, hooks.WroteHeaders)
		hooks.GotFirstResponseByte = nethttp.BothPlain(t.gotByte, hooks.GotFirstResponseByte)
		hooks.Got1xxResponse = t.joined(hooks.Got1xxResponse)
		if t.Origin.protocol.Load() == 0 { // the hook costs an allocation for each field
			theirs := hooks.WroteHeaderField
			hooks.WroteHeaderField = func(name string, values []string) {
				t.header(name, values)
				if theirs != nil {
					theirs(name, values)
				}
			}
		}
		if t.perhapsHTTP2(req.URL) {
			ctx, t.refuse = context.WithCancelCause(ctx)
		}
	}
	t.traced = nethttp.Traced{Context: ctx, Trace: hooks}
	return &t.traced
}

// interimHook is called with each interim response.
type interimHook = func(int, textproto.MIMEHeader) error

// joined returns a hook that calls ours and then theirs, which may be nil.
func (t *Trip) joined(theirs interimHook) interimHook {
	if theirs == nil {
		return t.gotInterim
	}
	return func(code int, h textproto.MIMEHeader) error {
		if err := t.gotInterim(code, h); err != nil {
			return err
		}
		return theirs(code, h)
	}
}
