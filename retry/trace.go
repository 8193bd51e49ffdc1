package retry

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync/atomic"
)

// marks are the stages that one try was seen to reach.
type marks uint32

const (
	gettingConn marks = 1 << iota
	handshakeFailed
	gotConn
	gotConnAgain // for a redirect, or because net/http sends once more by itself
	waitedForContinue
	gotContinue
	wroteRequest // whole, without an error
)

// attempt watches one try. Each has its own, because net/http may call hooks after the try that
// they belong to is over.
type attempt struct{ seen atomic.Uint32 }

func (a *attempt) mark(m marks) { a.seen.Or(uint32(m)) }
func (a *attempt) marks() marks { return marks(a.seen.Load()) }

// sentOnce tells whether the request was sent whole, and only once: net/http is done with its body.
func (a *attempt) sentOnce() bool { return a.marks()&(wroteRequest|gotConnAgain) == wroteRequest }

// trace returns c with hooks that fill a. A trace that the caller put there goes on working.
func (a *attempt) trace(c *call) context.Context {
	hooks := &httptrace.ClientTrace{
		GetConn: func(string) { a.mark(gettingConn) },
		GotConn: func(httptrace.GotConnInfo) {
			if marks(a.seen.Or(uint32(gotConn)))&gotConn != 0 {
				a.mark(gotConnAgain)
			}
		},
	}
	if c.req.URL != nil && c.req.URL.Scheme == "https" {
		hooks.TLSHandshakeDone = func(_ tls.ConnectionState, err error) {
			if err != nil {
				a.mark(handshakeFailed)
			}
		}
	}
	if c.expecting {
		hooks.Wait100Continue = func() { a.mark(waitedForContinue) }
		hooks.Got100Continue = func() { a.mark(gotContinue) }
	}
	if hasBody(c.req) {
		hooks.WroteRequest = func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				a.mark(wroteRequest)
			}
		}
	}
	return httptrace.WithClientTrace(c, hooks)
}
