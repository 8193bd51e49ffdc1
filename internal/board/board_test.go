package board

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world is a board of a server that accepts 4 requests a second and refuses one.
func world() *Board {
	begun := time.Now()
	return New(func() State {
		now := time.Now()
		n := int64(now.Sub(begun) / time.Second)
		return State{Command: "relay", Version: "1.2.3", Started: begun, Now: now,
			Upstreams: []Upstream{{Name: "https://api.example", Phase: "steady",
				Sent: 5 * n, Accepted: 4 * n, Throttled: n, Rate: 5, InFlight: 2,
				Holding: "the server <refuses> a higher rate"}}}
	})
}

func get(b http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

// A client reads events, if it is let to.
type client struct {
	*httptest.ResponseRecorder
	mu     sync.Mutex
	may    chan struct{}
	events []string
}

func (c *client) Write(p []byte) (int, error) {
	if len(p) > 0 {
		<-c.may
		c.mu.Lock()
		defer c.mu.Unlock()
		c.events = append(c.events, string(p))
	}
	return len(p), nil
}

// got returns the events.
func (c *client) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

func (c *client) read(b *Board, ctx context.Context, path string) {
	req := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	b.ServeHTTP(c, req)
}

func newClient(reads int) *client {
	c := &client{ResponseRecorder: httptest.NewRecorder(), may: make(chan struct{}, reads)}
	for range reads {
		c.may <- struct{}{}
	}
	return c
}

// A message comes each second with the state and what is new, and the last one when the board ends.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := world()
		ctx, end := context.WithCancel(t.Context())
		go b.Run(ctx)
		c := newClient(10)
		go c.read(b, t.Context(), "/events")
		time.Sleep(3*time.Second + time.Second/2)
		end()
		synctest.Wait()
		events := c.got()
		if len(events) != 4 {
			t.Fatalf("%d events: %q", len(events), events)
		}
		data, ok := strings.CutPrefix(events[2], "data: ")
		if !ok || !strings.HasSuffix(data, "}\n\n") {
			t.Fatalf("%q", events[2])
		}
		var got Event
		if err := json.Unmarshal([]byte(data), &got); err != nil {
			t.Fatal(err)
		}
		want := Sample{Seconds: 1, Sent: 5, Accepted: 4, Refused: 1, Rate: 5, InFlight: 2}
		samples := map[string]Sample{"https://api.example": want}
		if diff := cmp.Diff(samples, got.Samples); diff != "" {
			t.Error(diff)
		}
		if got.State.Upstreams[0].Sent != 15 {
			t.Errorf("%+v", got.State.Upstreams[0])
		}
		if w := get(b, "/events"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("afterwards: %d", w.Code)
		}
	})
}

// A slow reader gets the newest message, and delays no other.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := world()
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go b.Run(ctx)
		slow, quick := newClient(0), newClient(100)
		go slow.read(b, ctx, "/events")
		go quick.read(b, ctx, "/events")
		time.Sleep(10*time.Second + time.Millisecond)
		if n := len(quick.got()); n != 10 {
			t.Errorf("the quick one got %d", n)
		}
		slow.may <- struct{}{}
		slow.may <- struct{}{}
		synctest.Wait()
		events := slow.got()
		if len(events) != 2 || !strings.Contains(events[0], `"sent":5,`) ||
			!strings.Contains(events[1], `"sent":50,`) {
			t.Errorf("the slow one got %q", events)
		}
		close(slow.may)
	})
}

func TestFewReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := world()
		ctx, end := context.WithCancel(t.Context())
		leaving, leave := context.WithCancel(ctx)
		go newClient(0).read(b, leaving, "/events")
		for range maxReaders - 1 {
			go newClient(0).read(b, ctx, "/events")
		}
		synctest.Wait()
		w := get(b, "/events")
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" ||
			!strings.Contains(w.Body.String(), "too many") {
			t.Errorf("%d %q", w.Code, w.Body)
		}
		leave()
		synctest.Wait()
		go newClient(0).read(b, ctx, "/events")
		synctest.Wait()
		if n := len(b.readers); n != maxReaders {
			t.Errorf("%d readers", n)
		}
		end()
	})
}

// The page of the events is the one that is there first.
func TestPageEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := world()
		ctx, end := context.WithCancel(t.Context())
		defer end()
		go b.Run(ctx)
		c := newClient(10)
		go c.read(b, ctx, "/events?page")
		time.Sleep(5 * time.Second)
		synctest.Wait()
		content := strings.ReplaceAll(strings.TrimSuffix(c.got()[4], "\n\n"), "data: ", "")
		page := get(b, "/").Body.String()
		if !strings.Contains(page, "<main>\n"+strings.TrimPrefix(content, "\n")+"\n</main>") {
			t.Errorf("the event has\n%s\nthe page\n%s", content, page)
		}
	})
}

func TestHeaders(t *testing.T) {
	b := world()
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/state": "application/json",
	} {
		w := get(b, path)
		h := w.Header()
		if got := h.Get("Content-Type"); w.Code != 200 || got != want {
			t.Errorf("%s: %d %s", path, w.Code, got)
		}
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"GET", "/x", 404}, {"POST", "/", 405}, {"POST", "/state", 405}, {"DELETE", "/events", 405},
		{"HEAD", "/", 200},
	} {
		w := httptest.NewRecorder()
		b.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.want {
			t.Errorf("%s %s: %d", c.method, c.path, w.Code)
		}
	}
}

// What is not ours, such as an error text of a server, is text on the page.
func TestEscaped(t *testing.T) {
	const evil = `"><script>alert(1)</script>` + "\u202e"
	s := State{Holding: evil, Version: evil, Queue: &Queue{Clients: []Client{{Name: evil}}},
		Failures: []Failure{{What: evil, Why: evil}}}
	for i := range maxShown + 1 {
		s.Upstreams = append(s.Upstreams, Upstream{Name: fmt.Sprint(evil, i), Holding: evil})
	}
	page := get(New(func() State { return s }), "/").Body.String()
	if strings.Contains(page, "<script>alert") || strings.Contains(page, "\u202e") {
		t.Error(page)
	}
	if n := strings.Count(page, "&lt;script&gt;alert(1)"); n < 2*maxShown {
		t.Errorf("it is shown %d times", n)
	}
}

// busy is a board with as much as a page can have.
func busy() *Board {
	s := State{Command: "relay", Version: "1.2.3", Queue: &Queue{}, Cache: &Cache{},
		Stored: &Stored{}, Items: &Items{Total: 1}}
	for i := range maxSeries + 8 {
		s.Upstreams = append(s.Upstreams, Upstream{Name: fmt.Sprintf("https://server%d.example", i),
			Holding: "the server takes no higher rate", Phase: "steady", Found: true})
	}
	for i := range 20 {
		s.Failures = append(s.Failures, Failure{What: fmt.Sprintf("POST /v1/files/%d", i),
			Why: "the server answered 422 Unprocessable Content: the field date is missing"})
		s.Queue.Clients = append(s.Queue.Clients, Client{Name: fmt.Sprintf("10.0.0.%d python", i)})
	}
	b := New(func() State { return s })
	for i := range slots {
		s.Now = s.Now.Add(time.Second)
		for j := range s.Upstreams {
			u := &s.Upstreams[j]
			n := int64((i*i+j)%997 + len(s.Upstreams) - j)
			u.Sent, u.Accepted, u.Throttled = u.Sent+n, u.Accepted+n/2, u.Throttled+n/4
			u.Failed, u.Rate, u.InFlight = u.Failed+n/8, float64(n), int(n)
			u.Latency = float64(n) / 1000
			if b.series[u.Name] == nil && len(b.series) < maxSeries {
				b.series[u.Name] = newSeries(i, *u, s.Now)
			} else if b.series[u.Name] != nil {
				b.series[u.Name].add(i, *u, s.Now)
			}
		}
	}
	return b
}

// Also with many servers the page is small.
func TestSize(t *testing.T) {
	b := busy()
	page := get(b, "/").Body
	t.Logf("%d bytes", page.Len())
	if page.Len() > 60<<10 {
		t.Errorf("the page has %d bytes", page.Len())
	}
	if n := bytes.Count(page.Bytes(), []byte("<figure>")); n != maxShown {
		t.Errorf("%d charts", n)
	}
}

func BenchmarkLook(b *testing.B) {
	for _, readers := range []int{0, 1} {
		b.Run(fmt.Sprint("readers=", readers), func(b *testing.B) {
			board := busy()
			if readers > 0 {
				board.readers[&reader{page: true, messages: make(chan []byte, 1)}] = true
			}
			b.ReportAllocs()
			for b.Loop() {
				board.look()
			}
		})
	}
}

// The page of what is over says so, and does not ask for more.
func TestEndedPage(t *testing.T) {
	s := full()
	running := get(New(func() State { return s }), "/").Body.String()
	s.Ended = s.Now
	ended := get(New(func() State { return s }), "/").Body.String()
	for _, of := range []string{`http-equiv="refresh"`, `class="why stopped"`, "(until <time>"} {
		if strings.Contains(ended, of) || !strings.Contains(running, of) {
			t.Error(of)
		}
	}
	for _, of := range []string{" data-ended>", "<h1>It has ended: 24,210 of 50,000 files "} {
		if !strings.Contains(ended, of) || strings.Contains(running, of) {
			t.Error(of)
		}
	}
}

// Where a run sends to, when that was and what is known of its pace do not depend on who looks.
func TestPageSays(t *testing.T) {
	s := full()
	s.Command, s.To = "send", "https://api.example/{name}"
	s.Now = time.Date(2026, 3, 1, 22, 0, 0, 0, time.UTC)
	s.Started = s.Now.Add(-2 * time.Minute)
	b := New(func() State { return s })
	b.look()
	running := get(b, "/").Body.String()
	s.Upstreams[0].Trying, s.Upstreams[0].Paused, s.Ended = true, false, s.Now
	ended := get(b, "/").Body.String()
	s.Upstreams[0].Rate = 0
	unlimited := get(b, "/").Body.String()
	for _, of := range []struct {
		page, want, not string
	}{
		{unlimited, "<dt>Pace</dt>", "<dt>Pace "},
		{running, "penstock send to https://api.example/{name} · 1.2.3 · running for 2 m 0 s", ""},
		{running, Instant(s.Now) + "</time></p>", ""},
		{running, "<span>2 min ago</span><span>now</span>", ""},
		{running, "<dt>Pace found</dt>", "<dt>Pace tried</dt>"},
		{running, "40 too many, 8 overloaded or unreachable</small>", "timed out"},
		{ended, "<dt>Pace tried</dt>", "<dt>Pace found</dt>"},
		{ended, "</span><span>" + s.Now.Local().Format(time.TimeOnly) + "</span>", " ago</span>"},
	} {
		if !strings.Contains(of.page, of.want) ||
			of.not != "" && strings.Contains(of.page, of.not) {
			t.Errorf("no %q, or %q", of.want, of.not)
		}
	}
}

// A server's limit is not shown as a fault; an outage or a pause that it asked for is.
func TestStopped(t *testing.T) {
	at := time.Date(2026, 3, 1, 22, 0, 0, 0, time.Local)
	for _, c := range []struct {
		u    Upstream
		want string
	}{
		{Upstream{Holding: "held"}, `<p class="why"><span>held</span></p>`},
		{Upstream{Holding: "held", Paused: true}, `<p class="why stopped"><span>held</span></p>`},
		{Upstream{Holding: "held", Down: true, Until: at},
			`<p class="why stopped"><span>held</span> <small>(by <time>22:00:00</time>)</small></p>`},
	} {
		s := State{Upstreams: []Upstream{c.u}, Now: at}
		page := get(New(func() State { return s }), "/").Body.String()
		if !strings.Contains(page, c.want) {
			t.Errorf("%+v: no %s", c.u, c.want)
		}
	}
}
