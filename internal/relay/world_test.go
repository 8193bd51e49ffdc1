package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/problem"
	"github.com/penstock/penstock/internal/spool"
	"github.com/penstock/penstock/internal/test"
)

// A world is a relay between clients and a target, all on a network in memory.
type world struct {
	t      *testing.T
	begin  time.Time
	client *http.Client // its requests go to the relay, whatever host they name
	relay  *Relay
	stop   context.CancelCauseFunc // the user's first signal
	kill   context.CancelFunc      // the second
	ended  chan struct{}
	stats  Stats // when it has ended

	mu   sync.Mutex
	hits []string // what has arrived at the target, and when
	log  bytes.Buffer
}

// start runs a test in a world whose target answers by handle.
func start(t *testing.T, o Options, handle http.HandlerFunc, do func(w *world)) {
	t.Helper()
	startWith(t, parkFrom, o, handle, do)
}

// startWith is start where requests are parked when so many wait.
func startWith(t *testing.T, from int, o Options, handle http.HandlerFunc, do func(w *world)) {
	t.Helper()
	startIn(t, from, o, func(*Options) {}, handle, do)
}

// startIn is startWith; prepare is called in the bubble.
func startIn(t *testing.T, from int, o Options, prepare func(*Options), handle http.HandlerFunc,
	do func(w *world)) {

	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, begin: time.Now(), ended: make(chan struct{})}
		to := memnet.Listen()
		target := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(
			func(rw http.ResponseWriter, req *http.Request) {
				w.mu.Lock()
				at := time.Since(w.begin).Seconds()
				w.hits = append(w.hits, req.Method+" "+req.URL.RequestURI()+" "+
					time.Duration(at*float64(time.Second)).String())
				w.mu.Unlock()
				handle(rw, req)
			})}
		if o.Network.TLS == nil {
			go target.Serve(to)
		} else { // whose certificate is the server's here too
			target.TLSConfig = &tls.Config{Certificates: o.Network.TLS.Certificates}
			o.Network.TLS.Certificates = nil
			go target.ServeTLS(to, "", "")
		}
		if o.Targets == nil {
			o.Targets = []Target{{URL: parse(t, "http://target/base?from=relay")}}
		}
		o.Network.Dial = to.DialContext
		if o.Spool == nil {
			o.Spool = &spool.Store{Dir: t.TempDir()}
		}
		if o.QueueWait == 0 {
			o.QueueWait = time.Minute
		}
		if o.QueueRequests == 0 {
			o.QueueRequests, o.QueueBytes = 1000, 1<<20
		}
		if o.GiveUpAfter == 0 {
			o.GiveUpAfter = 10 * time.Second
		}
		if o.StopTimeout == 0 {
			o.StopTimeout = 5 * time.Second
		}
		o.Log = slog.New(slog.NewTextHandler(writer{w}, nil))
		prepare(&o)
		w.relay = New(o)
		w.relay.parkFrom = from
		at := memnet.Listen()
		ctx, kill := context.WithCancel(context.Background())
		soft, stop := context.WithCancelCause(ctx)
		w.kill, w.stop = kill, stop
		go func() {
			defer close(w.ended)
			stats, err := w.relay.Serve(ctx, soft, at)
			w.stats = stats
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		}()
		transport := &http.Transport{DialContext: at.DialContext, DisableCompression: true,
			ExpectContinueTimeout: time.Hour}
		w.client = &http.Client{Transport: transport,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			}}
		do(w)
		transport.CloseIdleConnections()
		stop(nil)
		<-w.ended
		kill()
		test.OK(t, target.Close())
		to.Close()
		time.Sleep(time.Minute) // what lingers
	})
}

// writer is where the log goes.
type writer struct{ w *world }

func (w writer) Write(p []byte) (int, error) {
	w.w.mu.Lock()
	defer w.w.mu.Unlock()
	return w.w.log.Write(p)
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	test.OK(t, err)
	return u
}

// An answer is what a client got.
type answer struct {
	status int
	header http.Header
	body   string
	took   time.Duration
	problem.Document
}

// do sends a request to the relay.
func (w *world) do(req *http.Request) answer {
	w.t.Helper()
	begin := time.Now()
	resp, err := w.client.Do(req)
	if err != nil {
		return answer{body: err.Error(), took: time.Since(begin)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		text = append(text, err.Error()...)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, body: string(text),
		took: time.Since(begin)}
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		test.OK(w.t, json.Unmarshal(text, &a.Document))
	}
	return a
}

func (w *world) request(method, path, body string) *http.Request {
	w.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, "http://localhost"+path, r)
	test.OK(w.t, err)
	req.GetBody = nil
	return req
}

func (w *world) send(method, path, body string) answer {
	w.t.Helper()
	return w.do(w.request(method, path, body))
}

// arrived returns what has arrived at the target since the last call.
func (w *world) arrived() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	hits := w.hits
	w.hits = nil
	return hits
}

// want compares what has arrived.
func (w *world) want(want ...string) {
	w.t.Helper()
	if got := w.arrived(); !slices.Equal(got, want) {
		w.t.Errorf("arrived:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// logged returns what was logged.
func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}
