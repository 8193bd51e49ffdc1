package board

import (
	"bytes"
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/internal/human"
)

const (
	look       = time.Second // how often the state is looked at
	maxReaders = 16          // of events
	// patience is how long a reader may take for a message.
	patience = 10 * time.Second
)

// A Board shows a state. It is an http.Handler of three paths: / is the page, /state the state as
// JSON, and /events sends it each second as server-sent events: a message is an [Event] as JSON, or
// what is on the page where ?page is asked for. A reader that is slow gets fewer of them.
//
// Its methods may be called concurrently. It does not ask whether a request is for it: see package
// hosts.
type Board struct {
	state func() State
	mux   http.ServeMux
	begun time.Time

	mu      sync.Mutex // protects what follows
	series  map[string]*series
	readers map[*reader]bool
	closed  bool
}

// An Event is what is told each second.
type Event struct {
	State   State             `json:"state"`
	Samples map[string]Sample `json:"samples"` // of that second, by the name of the server
}

// A reader is one of events.
type reader struct {
	page     bool
	messages chan []byte // holds the newest; closed: that was the last
}

// New returns a board of a state, which may be asked for concurrently. [Board.Run] keeps what
// happens to it.
func New(state func() State) *Board {
	b := &Board{state: state, begun: time.Now(), series: make(map[string]*series),
		readers: make(map[*reader]bool)}
	b.mux.HandleFunc("GET /{$}", b.servePage)
	b.mux.HandleFunc("GET /state", b.serveState)
	b.mux.HandleFunc("GET /events", b.serveEvents)
	return b
}

// Run looks at the state each second, until ctx ends. Then it sends the readers the last state, and
// dismisses them.
func (b *Board) Run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			b.look()
			continue
		case <-ctx.Done():
		}
		break
	}
	b.look()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for r := range b.readers {
		close(r.messages)
	}
}

// look records the state, and sends it to the readers.
func (b *Board) look() {
	s := b.state()
	b.mu.Lock()
	defer b.mu.Unlock()
	samples := b.recordLocked(&s)
	messages := map[bool][]byte{} // made only if somebody reads them
	for r := range b.readers {
		if messages[r.page] == nil {
			messages[r.page] = b.messageLocked(r.page, &s, samples)
		}
		r.tell(messages[r.page])
	}
}

// recordLocked adds the state to the series, and returns what is new there.
func (b *Board) recordLocked(s *State) map[string]Sample {
	second := int(math.Round(time.Since(b.begun).Seconds()))
	samples := make(map[string]Sample)
	for _, u := range s.Upstreams {
		if old := b.series[u.Name]; old != nil {
			samples[u.Name] = old.add(second, u, s.Now)
		} else if len(b.series) < maxSeries {
			b.series[u.Name] = newSeries(second, u, s.Now)
		}
	}
	return samples
}

// messageLocked returns a message of events, for the page or for programs.
func (b *Board) messageLocked(page bool, s *State, samples map[string]Sample) []byte {
	var m bytes.Buffer
	if !page {
		m.WriteString("data: ")
		encode(&m, Event{*s, samples})
		m.WriteByte('\n')
		return m.Bytes()
	}
	for line := range bytes.Lines(b.contentLocked(s)) {
		m.WriteString("data: ")
		m.Write(line)
	}
	m.WriteString("\n\n")
	return m.Bytes()
}

// encode writes JSON, and a newline. All numbers of a state are such that JSON has them.
func encode(b *bytes.Buffer, v any) { _ = human.NewEncoder(b).Encode(v) }

// tell has the reader get a message, instead of one that it has not taken yet.
func (r *reader) tell(message []byte) {
	select {
	case <-r.messages:
	default:
	}
	r.messages <- message // there is room: nobody else sends
}

// headers are those of all answers. The page loads nothing, and is shown in no other.
func (b *Board) headers(h http.Header, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", policy+"; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// ServeHTTP answers a request.
func (b *Board) ServeHTTP(w http.ResponseWriter, req *http.Request) { b.mux.ServeHTTP(w, req) }

func (b *Board) servePage(w http.ResponseWriter, _ *http.Request) {
	s := b.state()
	b.mu.Lock()
	page := b.pageLocked(&s)
	b.mu.Unlock()
	b.headers(w.Header(), "text/html; charset=utf-8")
	_, _ = w.Write(page) // the reader may go away at any time
}

func (b *Board) serveState(w http.ResponseWriter, _ *http.Request) {
	var text bytes.Buffer
	encode(&text, b.state())
	b.headers(w.Header(), "application/json")
	_, _ = w.Write(text.Bytes())
}

// serveEvents sends messages until the reader goes away or the board ends.
func (b *Board) serveEvents(w http.ResponseWriter, req *http.Request) {
	r := &reader{page: req.URL.Query().Has("page"), messages: make(chan []byte, 1)}
	b.mu.Lock()
	full, closed := len(b.readers) >= maxReaders, b.closed
	if !full && !closed {
		b.readers[r] = true
	}
	b.mu.Unlock()
	switch {
	case closed:
		http.Error(w, "it has ended", http.StatusServiceUnavailable)
		return
	case full:
		w.Header().Set("Retry-After", "60")
		http.Error(w, "too many read the events already: close some of the pages",
			http.StatusServiceUnavailable)
		return
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.readers, r)
	}()
	b.headers(w.Header(), "text/event-stream")
	conn := http.NewResponseController(w)
	for message, ok := []byte{}, true; ok; {
		_ = conn.SetWriteDeadline(time.Now().Add(patience)) // else the server's own holds
		if _, err := w.Write(message); err != nil {
			return
		}
		if err := conn.Flush(); err != nil {
			return
		}
		select {
		case <-req.Context().Done():
			return
		case message, ok = <-r.messages:
		}
	}
}
