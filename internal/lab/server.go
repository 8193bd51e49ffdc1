package lab

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// StatsPath is where a server tells its Stats as JSON, to GET. Asking is not counted as a request
// and never limited.
const StatsPath = "/-/stats"

// bufferSize is how much of a body is read at once.
const bufferSize = 64 << 10

// A Server is a practice server. Its methods are safe for concurrent use.
type Server struct {
	rule    rule
	honour  bool // idempotency keys
	ledger  ledger
	http    http.Server
	buffers sync.Pool // of *[]byte
	started time.Time // by Start, or else made by New

	life    context.Context // ended by Close
	die     context.CancelFunc
	closing <-chan struct{} // of life
	running sync.WaitGroup  // goroutines of ours and connections being served

	mu struct {
		sync.Mutex
		closed bool
		conns  map[net.Conn]struct{}
	}
}

func newServer(preset string, rule rule, record, honour bool) *Server {
	s := &Server{rule: rule, honour: honour, started: time.Now()}
	s.life, s.die = context.WithCancel(context.Background())
	s.closing = s.life.Done()
	s.ledger.init(preset, record)
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	s.mu.conns = map[net.Conn]struct{}{}
	s.http.Handler = s.Handler()
	s.http.ConnState = s.connState
	s.http.ErrorLog = log.New(io.Discard, "", 0) // broken connections are its trade
	return s
}

// Start serves on l in the background until Close. It is called once; after Close it only closes l.
func (s *Server) Start(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closed {
		l.Close()
		return
	}
	s.started = time.Now()
	s.serve(l)
	if d, ok := s.rule.(*down); ok && d.mode == "refuse" {
		s.running.Go(func() { d.refuse(s, l) })
	}
}

func (s *Server) serve(l net.Listener) {
	s.running.Go(func() { s.http.Serve(l) })
}

// Close closes the listener and all connections, breaks off what is under way, and returns when
// nothing of the server runs any more. Closing again, or what was never started, does nothing. It
// always returns nil.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.mu.closed {
		s.mu.closed = true
		s.die()
	}
	s.mu.Unlock()
	s.http.Close()
	s.each(func(c net.Conn) { c.Close() })
	s.running.Wait()
	return nil
}

// Stats returns what the server has seen so far.
func (s *Server) Stats() Stats { return s.ledger.stats() }

// Handler returns the server as a handler, for callers with an HTTP server of their own. To break
// off a connection it panics with http.ErrAbortHandler, which net/http knows. Without Start there
// is no closed port: the preset down resets instead.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// First of all, so that nothing of ours comes between arrival and judgement.
		x := &exchange{Server: s, w: w, r: r, at: time.Now(), looks: isLook(r)}
		if x.looks && r.URL.Path == StatsPath {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(s.Stats())
			return
		}
		if x.looks {
			s.look(x)
			return
		}
		s.ledger.arrive(x.at)
		defer x.leave()
		s.rule.serve(x)
	})
}

// look answers a question about what is stored, without any limit. A server that is down or hostile
// is that for such questions too, and a partner knows its files by id.
func (s *Server) look(x *exchange) {
	s.ledger.count(&s.ledger.mu.stats.Looked)
	x.left = true // never counted in
	switch s.rule.(type) {
	case *down, *hostile, *partner:
		s.rule.serve(x)
	default:
		x.look()
	}
}

// connState keeps count of the connections, which http.Server closes but does not wait for.
func (s *Server) connState(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if slow, ok := s.rule.(*slow); ok {
			slow.accepted(c)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running.Add(1)
		s.mu.conns[c] = struct{}{}
		if s.mu.closed { // accepted while Close went through the others
			c.Close()
		}
	case http.StateClosed:
		s.gone(c)
	}
}

// gone counts a connection out. Callers that hijack one must call it.
func (s *Server) gone(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.conns[c]; ok {
		delete(s.mu.conns, c)
		s.running.Done()
	}
}

// each calls f with every connection that is open.
func (s *Server) each(f func(net.Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.mu.conns {
		f(c)
	}
}

// sleepUntil waits for an instant. It returns false, at once, when the server is closed.
func (s *Server) sleepUntil(t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.closing:
		return false
	}
}
