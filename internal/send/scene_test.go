package send

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/report"
)

// An answer is what a [keeper] does with one request that it could accept.
type answer struct {
	stores bool
	status int // 0: the connection is reset
	wait   int // Retry-After, in seconds
	kill   bool
}

func (a answer) String() string {
	return fmt.Sprintf("%+v", struct{ S, R, W, K any }{a.stores, a.status, a.wait, a.kill})
}

// A keeper is a server that has one file, and knows which contents it ever accepted.
type keeper struct {
	content  string    // at its URL
	stored   time.Time // when that was
	accepted map[string]bool
	keys     map[string]bool
	answers  []answer
	during   func() // while a request is on its way
	killed   func() // takes what is on disk then for what a killed run has left
	requests int
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if r.Method == http.MethodHead || r.Method == http.MethodGet {
		if k.content == "" {
			w.WriteHeader(http.StatusNotFound)
		} else if r.Method == http.MethodGet {
			io.WriteString(w, k.content)
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(k.content)))
			w.Header().Set("Last-Modified", k.stored.UTC().Format(http.TimeFormat))
		}
		return
	}
	if k.requests++; k.during != nil {
		k.during()
	}
	if k.killed == nil { // the run was killed: what it still does did not happen
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	exists := r.Header.Get("If-None-Match") == "*" && k.content != ""
	a := answer{stores: true, status: http.StatusCreated}
	if len(k.answers) > 0 {
		a, k.answers = k.answers[0], k.answers[1:]
	}
	if a.kill {
		k.killed()
		k.killed = nil
	}
	switch {
	case key != "" && k.keys[key]: // as it was answered before
		a.stores = false
	case exists && (a.stores || a.status == http.StatusCreated): // else something before it answers
		a.stores, a.status = false, http.StatusPreconditionFailed
	}
	if a.stores {
		if k.accepted == nil {
			k.accepted, k.keys = make(map[string]bool), make(map[string]bool)
		}
		k.content, k.stored = string(body), time.Now()
		k.accepted[k.content] = true
		k.keys[key] = key != ""
	}
	if a.status == 0 {
		hijacked(w, "", (*memnet.Conn).Reset)
		return
	}
	if a.wait > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(a.wait))
	}
	w.WriteHeader(a.status)
}

// A scene is one file and its server, over many runs.
type scene struct {
	*world
	keeper  *keeper
	name    string // of the journal
	kills   int
	content string
}

// write gives the file that content, with a date of its own.
func (s *scene) write(content string) {
	s.Helper()
	file := s.firstFile()
	at := time.Unix(1e9, 0)
	for _, c := range content {
		at = at.Add(time.Duration(c) * time.Hour)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		s.Fatal(err)
	}
	if err := os.Chtimes(file, time.Time{}, at); err != nil {
		s.Fatal(err)
	}
	s.content = content
}

// send does a run, and checks that it claims nothing.
func (s *scene) send(method string, answers ...answer) report.Summary {
	s.Helper()
	s.method(method)
	s.journal(s.name)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	killed := false
	s.keeper.answers = answers
	s.keeper.killed = func() {
		killed = true
		s.kills++
		next := fmt.Sprintf("%s%d.db", strings.TrimSuffix(s.name, ".db"), s.kills)
		copyJournal(s.T, s.name, next)
		s.name = next
		cancel()
	}
	sum := s.runUntil(ctx, context.Background())
	if !killed && sum.Items.Delivered+sum.Items.Skipped > 0 && !s.has() {
		s.Errorf("it claims a delivery of %q, and the server has %q of all that it ever "+
			"accepted: %v\n%+v\n%s", s.content, s.keeper.content, s.keeper.accepted, sum.Items,
			errorsOf(sum))
	}
	return sum
}

// has reports whether the server has the content that the file has: of a POST, whether it ever
// accepted it.
func (s *scene) has() bool {
	if s.Source.Method() == http.MethodPost {
		return s.keeper.accepted[s.content]
	}
	return s.keeper.content == s.content
}

func onScene(t *testing.T, do func(s *scene)) {
	k := new(keeper)
	name := filepath.Join(t.TempDir(), "j.db")
	onFakeTime(t, 1, k.ServeHTTP, func(w *world) {
		w.Attempts, w.MaxWait, w.GiveUpAfter, w.Workers = 2, time.Minute, time.Minute, 1
		do(&scene{world: w, keeper: k, name: name})
	})
}
