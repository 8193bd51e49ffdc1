package gate

import (
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/internal/memnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const ms = time.Millisecond

// A clock returns the time since it was made.
type clock struct{ begin time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Duration { return time.Since(c.begin) }

// until sleeps until the given time.
func (c clock) until(at time.Duration) { time.Sleep(at - c.now()) }

func ok(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }

// A site is an HTTP server on a network in memory, and the transport that reaches it by any name.
type site struct {
	clock
	base *http.Transport
}

func newSite(t *testing.T, handler http.Handler) *site {
	l := memnet.Listen()
	s := &site{newClock(), &http.Transport{DialContext: l.DialContext, MaxIdleConnsPerHost: 100}}
	both := new(http.Protocols)
	both.SetHTTP1(true)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Protocols: both, Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() {
		s.base.CloseIdleConnections()
		server.Close()
		time.Sleep(time.Second) // it lets what it closes linger for a while
	})
	return s
}
