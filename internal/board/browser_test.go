package board

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/penstock/penstock/internal/servers"
)

// full is a state with something of everything.
func full() State {
	now := time.Now()
	return State{Command: "relay", Version: "1.2.3", Started: now.Add(-time.Hour), Now: now,
		Holding: "paused 12 s: Retry-After",
		Upstreams: []Upstream{{Name: "https://api.example", Phase: "steady", Sent: 24833,
			Accepted: 24729, Throttled: 40, Overloaded: 8, Failed: 56, InFlight: 9, Waiting: 31,
			Latency: 0.231, Rate: 42.7, InFlightLimit: 16, Found: true,
			Holding: "paused 12 s: Retry-After", Paused: true, Until: now.Add(12 * time.Second)},
			{Name: "http://b.example:8443", Phase: "starting"}},
		Items: &Items{Total: 50000, Known: true, Delivered: 24210, Failed: 3, Unknown: 1,
			Skipped: 120, Deferred: 2, Bytes: 3 << 30, AllBytes: 7 << 30, Left: 640},
		Queue: &Queue{Requests: 123456, Answered: 123300, Refused: 12, Failed: 3, Lost: 1,
			Stored: 22, Waiting: 31, Bytes: 71680, Oldest: 12.4,
			Clients: []Client{{"10.0.0.7 python-requests/2.31", 28, 12.4}, {"nightly", 3, 0.8}}},
		Cache: &Cache{Hits: 4211, Misses: 800, Stale: 7, Bytes: 12 << 20},
		Stored: &Stored{Waiting: 1200, Bytes: 5 << 20, Oldest: 7300, InFlight: 4,
			Delivered: 99000, Failed: 2, Unknown: 1},
		Failures: []Failure{{now, "POST /v1/files/1.json", "the server answered 422: date <b>"}},
	}
}

// numbersOf returns the numbers of a page, by where they are in the state.
func numbersOf(t *testing.T, page []byte) map[string]string {
	t.Helper()
	doc, err := html.Parse(bytes.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string]string{}
	for n := range doc.Descendants() {
		attrs := map[string]string{}
		for _, a := range n.Attr {
			attrs[a.Key] = a.Val
		}
		if of := attrs["data-of"]; of != "" {
			numbers[of] = attrs["value"]
		}
	}
	return numbers
}

// agree checks that the numbers of a page are those of the state as JSON.
func agree(t *testing.T, page, state []byte) {
	t.Helper()
	var root any
	d := json.NewDecoder(bytes.NewReader(state))
	d.UseNumber()
	if err := d.Decode(&root); err != nil {
		t.Fatal(err)
	}
	numbers := numbersOf(t, page)
	if len(numbers) < 35 {
		t.Errorf("the page has %d numbers: %v", len(numbers), numbers)
	}
	for of, shown := range numbers {
		at := root
		for name := range strings.SplitSeq(of, ".") {
			switch in := at.(type) {
			case map[string]any:
				at = in[name]
			case []any:
				i, _ := strconv.Atoi(name)
				at = in[i]
			}
		}
		if fmt.Sprint(at) != shown {
			t.Errorf("%s is %v, the page has %s", of, at, shown)
		}
	}
}

// [page] Without scripts the page has the numbers of the state.
func TestSnapshot(t *testing.T) {
	s := full()
	b := New(func() State { return s })
	agree(t, get(b, "/").Body.Bytes(), get(b, "/state").Body.Bytes())
}

// [page] A browser shows the numbers of the state as they change, and asks no other server.
func TestBrowser(t *testing.T) {
	first, then := full(), full()
	then.Upstreams[0].Sent += 1234
	then.Queue.Waiting = 77
	then.Upstreams = append(then.Upstreams, Upstream{Name: "http://c.example", Sent: 5})
	then.Failures = nil
	var changed atomic.Bool
	looks := make(chan struct{}, 100)
	b := New(func() State {
		if changed.Load() {
			looks <- struct{}{}
			return then
		}
		return first
	})
	ctx, end := context.WithCancel(t.Context())
	go b.Run(ctx)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/" {
			b.ServeHTTP(w, req)
			return
		}
		// Chromium writes the page when it is there to its end: that comes after some events.
		page, tail, _ := bytes.Cut(get(b, "/").Body.Bytes(), []byte("</body>"))
		b.headers(w.Header(), "text/html; charset=utf-8")
		w.Write(page)
		http.NewResponseController(w).Flush()
		changed.Store(true)
		for range 4 {
			<-looks
		}
		w.Write(append([]byte("</body>"), tail...))
	}))
	defer server.Close()
	defer end() // and with it the events

	log := filepath.Join(t.TempDir(), "net.json")
	dom := servers.Chromium(t, "--log-net-log="+log, "--dump-dom", server.URL)
	agree(t, dom, get(b, "/state").Body.Bytes())
	if !bytes.Contains(dom, []byte(`<p id="live" role="status" hidden`)) {
		t.Errorf("it has no news: %s", dom)
	}
	others(t, log, server.URL)
}

// others checks that a page of ours asked for nothing elsewhere.
func others(t *testing.T, log, own string) {
	t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var net struct {
		Events []struct {
			Params struct{ URL, Initiator string }
		}
	}
	if err := json.Unmarshal(text, &net); err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, e := range net.Events {
		p := e.Params
		if strings.HasPrefix(p.URL, own) {
			asked[strings.TrimPrefix(p.URL, own)] = true
		} else if p.URL != "" && p.Initiator == own {
			t.Errorf("the page asked for %s", p.URL)
		}
	}
	if len(asked) != 2 || !asked["/"] || !asked["/events?page"] {
		t.Errorf("the page asked for %v", asked)
	}
}
