package fair

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/throttle"
)

const (
	ms   = time.Millisecond
	host = "http://a"
)

// A world is a Transport above a server in memory.
type world struct {
	*Transport
	t     *testing.T
	begin time.Time
	group sync.WaitGroup

	mu   sync.Mutex
	sent []sending
}

// A sending is a request that reached the server.
type sending struct {
	at     time.Duration
	client string
	path   string
}

// newWorld returns a world whose server takes that long, and then answers as answer says, which may
// be nil: 200.
func newWorld(t *testing.T, l throttle.Limits, takes time.Duration,
	answer func(*http.Request) *http.Response) *world {

	w := &world{t: t, begin: time.Now()}
	send := func(r *http.Request) (*http.Response, error) {
		w.mu.Lock()
		w.sent = append(w.sent, sending{time.Since(w.begin), r.Header.Get("Client"), r.URL.Path})
		w.mu.Unlock()
		if takes > 0 {
			select {
			case <-time.After(takes):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		}
		if answer != nil {
			return answer(r), nil
		}
		return status(http.StatusOK), nil
	}
	w.Transport = New(&throttle.Transport{Limits: l, Base: base(send)})
	return w
}

type base func(*http.Request) (*http.Response, error)

func (b base) RoundTrip(r *http.Request) (*http.Response, error) { return b(r) }

func status(code int, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader("ok"))}
}

// call sends one request of a client to the end of its answer.
func (w *world) call(ctx context.Context, client, path string) error {
	req, err := http.NewRequestWithContext(WithClient(ctx, client), "PUT", host+path,
		strings.NewReader("12345"))
	if err != nil {
		return err
	}
	req.Header.Set("Client", client)
	resp, err := w.RoundTrip(req)
	if err != nil {
		return err
	}
	if resp.Request != req {
		w.t.Error("the answer is not that of the request")
	}
	io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// start makes the call in a goroutine of its own, which has begun to wait when start returns.
func (w *world) start(ctx context.Context, client, path string) {
	w.group.Go(func() {
		if err := w.call(ctx, client, path); err != nil && ctx.Err() == nil {
			w.t.Errorf("%s%s: %v", client, path, err)
		}
	})
	synctest.Wait()
}

// idle checks that nothing is left: no permit, no caller and no dispatcher.
func (w *world) idle() {
	w.t.Helper()
	w.group.Wait()
	synctest.Wait()
	if s := w.base.Upstream(host).Stats(); s.InFlight != 0 || s.Waiting != 0 {
		w.t.Errorf("%d in flight, %d waiting", s.InFlight, s.Waiting)
	}
	if s := w.Queue(host); s != (QueueStats{}) {
		w.t.Errorf("queued: %+v", s)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Transport.mu.Lock()
	defer w.Transport.mu.Unlock()
	for _, q := range w.Transport.mu.queues {
		if q.cancel != nil || q.ahead.clients != nil || q.behind.clients != nil {
			w.t.Error("there is a dispatcher, or a client")
		}
	}
}

// sentNow returns what was sent up to now.
func (w *world) sentNow() []sending {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.sent)
}

// order is the clients in the order in which their requests were sent.
func (w *world) order() string {
	var s strings.Builder
	for _, sent := range w.sentNow() {
		s.WriteString(sent.client)
	}
	return s.String()
}
