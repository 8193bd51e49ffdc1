// Package admin is how people and programs look at a relay and steer it: its health, state, page
// and metrics, and changes of its limits, pauses and its end. It is a server of its own, apart from
// the one that requests go through, and knows no users: any program that reaches it may do all
// this, but no web page of another site may.
package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/penstock/penstock/internal/board"
	"github.com/penstock/penstock/internal/hosts"
	"github.com/penstock/penstock/internal/human"
	"github.com/penstock/penstock/internal/metrics"
	"github.com/penstock/penstock/internal/relay"
)

const (
	maxBody   = 64 << 10 // of a request: far more than any needs
	longAgent = 60       // what is said of the name of a program
)

// Answers of health and readiness, which people see when they try.
const (
	healthy = "ok\n"
	ready   = "ready\n"
)

// An Admin is an http.Handler for a relay. Use [New].
type Admin struct {
	relay *relay.Relay
	board *board.Board
	h     http.Handler
}

// New returns a handler for a relay that may be called by these names. State is what is shown, and
// is asked for concurrently.
func New(r *relay.Relay, state func() board.State, names hosts.Names) *Admin {
	a := &Admin{relay: r, board: board.New(state)}
	mux := http.NewServeMux()
	for _, path := range []string{"/{$}", "/state", "/events"} {
		mux.Handle("GET "+path, a.board)
	}
	mux.Handle("GET /metrics", metrics.Handler(state))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, healthy)
	})
	mux.HandleFunc("GET /readyz", a.serveReady)
	mux.HandleFunc("GET /limits", a.serveLimits)
	for path, change := range map[string]func(fields, string) error{
		"/limits": a.limits, "/pause": a.pause, "/resume": a.resume, "/drain": a.drain,
	} {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, req *http.Request) {
			a.serveChange(w, req, change)
		})
	}
	a.h = names.Only(mux)
	return a
}

// Run keeps what happens to the state, for the page, until ctx ends.
func (a *Admin) Run(ctx context.Context) { a.board.Run(ctx) }

// ServeHTTP answers a request.
func (a *Admin) ServeHTTP(w http.ResponseWriter, req *http.Request) { a.h.ServeHTTP(w, req) }

func (a *Admin) serveReady(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if why := a.relay.Ready(); why != nil {
		answer(w, problem(http.StatusServiceUnavailable, why))
		return
	}
	_, _ = io.WriteString(w, ready)
}

// serveChange has the relay changed, and answers how its targets stand then.
func (a *Admin) serveChange(
	w http.ResponseWriter, req *http.Request, change func(f fields, who string) error,
) {
	f, failed := read(w, req)
	if failed == nil {
		if err := change(f, who(req)); err != nil {
			failed = problem(http.StatusBadRequest, err)
		}
	}
	if failed != nil {
		answer(w, failed)
		return
	}
	a.serveLimits(w, req)
}

// serveLimits says what limits and pauses there are.
func (a *Admin) serveLimits(w http.ResponseWriter, _ *http.Request) {
	text, err := json.Marshal(struct {
		Draining bool             `json:"draining"`
		Targets  []relay.Standing `json:"targets"`
	}{a.relay.State().Draining, a.relay.Standings()})
	if err != nil {
		panic(err) // strings and numbers
	}
	answer(w, &reply{http.StatusOK, "application/json", text})
}

// read returns the fields of a request's body. It may come from a program or from our own page:
// other pages can have a browser send a POST too, but not of JSON, nor as if it came from here.
func read(w http.ResponseWriter, req *http.Request) (fields, *reply) {
	origin := req.Header.Get("Origin")
	if hosts.Foreign(req) || origin != "" && origin != "http://"+req.Host {
		return nil, problem(http.StatusForbidden, errors.New("a page of another site had a "+
			"browser send this: send it from a program"))
	}
	kind, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, problem(http.StatusUnsupportedMediaType, errors.New("want a body of JSON, and "+
			"Content-Type: application/json"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if errors.As(err, new(*http.MaxBytesError)) {
		return nil, problem(http.StatusRequestEntityTooLarge,
			fmt.Errorf("the body is longer than %s", human.Size(maxBody)))
	} else if err != nil {
		return nil, problem(http.StatusBadRequest, fmt.Errorf("the body did not come: %w", err))
	}
	f, err := readFields(body)
	if err != nil {
		return nil, problem(http.StatusBadRequest, err)
	}
	return f, nil
}

// who describes the sender of a request, for the log.
func who(req *http.Request) string {
	text := req.RemoteAddr
	if agent := req.UserAgent(); agent != "" {
		text += " (" + human.Printable(human.Cut(agent, longAgent)) + ")"
	}
	return text
}

func (a *Admin) limits(f fields, who string) error {
	var target string
	var change relay.Change
	if err := cmp.Or(f.target(&target), f.rate(&change.Rate), f.inFlight(&change.InFlight),
		f.rest("target, rps, concurrency")); err != nil {
		return err
	}
	if change == (relay.Change{}) {
		return errors.New("rps, concurrency: want one of them, a number or null")
	}
	return a.relay.SetLimits(target, change, who)
}

func (a *Admin) pause(f fields, who string) error {
	var target string
	var length time.Duration
	if err := cmp.Or(f.target(&target), f.length(&length), f.rest("target, for")); err != nil {
		return err
	}
	return a.relay.Pause(target, length, who)
}

func (a *Admin) resume(f fields, who string) error {
	var target string
	if err := cmp.Or(f.target(&target), f.rest("target")); err != nil {
		return err
	}
	return a.relay.Resume(target, who)
}

func (a *Admin) drain(f fields, who string) error {
	if err := f.rest(""); err != nil {
		return err
	}
	a.relay.Drain(fmt.Errorf("told to drain by %s", who))
	return nil
}

// A reply is an answer with a body.
type reply struct {
	status int
	kind   string
	text   []byte
}

// problem is an answer that says what is wrong (RFC 9457).
func problem(status int, why error) *reply {
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, why.Error()})
	if err != nil {
		panic(err) // strings and numbers
	}
	return &reply{status, "application/problem+json", text}
}

func answer(w http.ResponseWriter, r *reply) {
	h := w.Header()
	h.Set("Content-Type", r.kind)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(r.status)
	_, _ = w.Write(append(r.text, '\n')) // the reader may go away at any time
}
