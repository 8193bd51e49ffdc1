package send

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/memnet"
)

// An outage of a minute: the server is left alone meanwhile, and worked at full
// pace soon after, however few files are left.
func TestOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	for _, c := range []struct {
		name  string
		files int
		down  func(http.ResponseWriter) // nil: connections are refused
	}{
		{"refused, in the middle", 1000, nil},
		{"refused, near the end", 203, nil},
		{"refused, one or two are left", 202, nil},
		{"503, in the middle", 1000, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"503, near the end", 203, func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) }},
		{"reset, in the middle", 1000, func(w http.ResponseWriter) { hijacked(w, "", (*memnet.Conn).Reset) }},
		{"504, in the middle", 1000, func(w http.ResponseWriter) { w.WriteHeader(http.StatusGatewayTimeout) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var seen, accepted instants
			onFakeTime(t, c.files, func(w http.ResponseWriter, r *http.Request) {
				seen.add()
				if now := time.Since(seen.first()); c.down != nil && now >= from && now < to {
					c.down(w)
					return
				}
				accept(w, r, 100*time.Millisecond)
				accepted.add()
			}, func(w *world) {
				w.Limits.Rate = 20
				if c.down == nil {
					w.Header = http.Header{"Connection": {"close"}} // so that the outage is seen
					time.AfterFunc(from, func() { w.net.Refuse(true) })
					time.AfterFunc(to, func() { w.net.Refuse(false) })
				}
				s := w.run()
				w.ended(s, ExitDelivered, int64(c.files), 0, 0, 0, 0)
				var flying int
				for _, snap := range w.watch.snapshots {
					if snap.Elapsed < from {
						flying = snap.InFlight
					}
				}
				if extra := s.Requests.Sent - s.Requests.Accepted - int64(flying); extra > 12 {
					t.Errorf("%d requests to a server that was down, beyond %d in flight", extra, flying)
				}
				full := w.begin.Add(to + 15*time.Second)
				if left := int64(accepted.within(full, full.Add(time.Hour))); left > 0 {
					if n := accepted.within(full, full.Add(10*time.Second)); n < 195 && left > 200 {
						t.Errorf("%d accepted in ten seconds, a while after the outage", n)
					}
					if c.files < 1000 {
						t.Errorf("%d accepted late, at the end after %v", left, w.since())
					}
				}
				talk := w.watch.talk.String()
				if strings.Count(talk, "http://127.0.0.1 is down (") != 1 || strings.Count(talk, "http://127.0.0.1 is back after 1m") != 1 {
					t.Errorf("it says %s", strings.Join(regexp.MustCompile(`.*level=INFO.*`).FindAllString(talk, -1), "\n"))
				}
				if s.Waited.Down < 60 || s.Waited.Down > 70 {
					t.Errorf("%v s of a minute down", s.Waited.Down)
				}
			})
		})
	}
}

// Of three servers in one manifest the first wants to be left alone for ten
// minutes and the second is down for one. The third notices nothing.
func TestOutageOfOneServerAmongThree(t *testing.T) {
	const each = 100
	var refused atomic.Bool
	var delivered [3]instants
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
		host := int(r.Host[len(r.Host)-1] - '1')
		switch {
		case host == 0 && refused.CompareAndSwap(false, true):
			w.Header().Set("Retry-After", "600")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case host == 1 && time.Since(delivered[2].first()) < time.Minute:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		accept(w, r, 50*time.Millisecond)
		delivered[host].add()
	}, func(w *world) {
		var lines strings.Builder
		for i := range each {
			for host := range 3 {
				fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://127.0.0.%d/%d\"}\n", w.firstFile(), host+1, i)
			}
		}
		w.manifest(lines.String())
		delivered[2].add() // the beginning
		w.Limits.InFlight = 4
		w.resends = 4 // of those whose connection was made, and then idle, while the pause came
		w.GiveUpAfter = 5 * time.Minute
		s := w.run()
		w.ended(s, ExitDelivered, 3*each, 0, 0, 0, 0)
		if n := delivered[2].within(w.begin, w.begin.Add(3*time.Second)); n != each+1 {
			t.Errorf("the third server had %d of %d after three seconds", n-1, each)
		}
		if n := delivered[1].within(w.begin, w.begin.Add(75*time.Second)); n != each {
			t.Errorf("the second server had %d of %d 15 s after its outage", n, each)
		}
		if n := delivered[0].within(w.begin.Add(10*time.Minute), w.begin.Add(10*time.Minute+8*time.Second)); n < each-1 {
			t.Errorf("the first server had %d of %d soon after its pause", n, each)
		}
		words := strings.Join(w.watch.holding(), "\n")
		for _, want := range []string{"\n2 servers are paused or down\n", "\n127.0.0.2: server down (503): next try in 8 s; 127.0.0.1 is paused 9m", "\n127.0.0.1: paused 5m00s: Retry-After\n"} {
			if !strings.Contains(words, want) {
				t.Errorf("it never says %q but\n%s", want, words[:min(len(words), 2500)])
			}
		}
	})
}
