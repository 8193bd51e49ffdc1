package send

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/throttle"
)

// [give up] A server that accepts nothing ends the run, and it says why.
func TestGiveUp(t *testing.T) {
	onFakeTime(t, 20, answering(http.StatusServiceUnavailable), func(w *world) {
		w.Limits = throttle.Limits{Rate: 100, InFlight: 256}
		w.GiveUpAfter = 90 * time.Second
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 20-s.Items.Deferred)
		if got, want := w.since(), 90*time.Second+tick; got != want {
			t.Errorf("ended after %v, want %v", got, want)
		}
		w.noted(s,
			"nothing was accepted for 1 m 30 s (--give-up-after): 503 Service Unavailable; try "+
				"again later")
		// What ends because the run does says what the server said last.
		text := errorsOf(s)
		if !strings.Contains(text, "deferred: PUT http://127.0.0.1/000") ||
			strings.Count(text, "nothing was accepted") != 1 ||
			strings.Count(text, "503 Service Unavailable") < 2 ||
			strings.Contains(text, "nothing was sent") {
			t.Errorf("it says %s", text)
		}
	})
}

// What the server asks for it gets, once: what comes after it has to be accepted.
func TestGiveUpIsPatientWhenAsked(t *testing.T) {
	again := answering(http.StatusServiceUnavailable, "Retry-After", "50")
	onFakeTime(t, 5, inTurn(again, atOnce, again, atOnce, again, atOnce), func(w *world) {
		w.Limits.InFlight = 1
		w.GiveUpAfter = 10 * time.Second
		w.ended(w.run(), exit.Delivered, 5, 0, 0, 0, 0)
		if w.since() < 150*time.Second {
			t.Errorf("over after %v", w.since())
		}
	})
	onFakeTime(t, 5, again, func(w *world) {
		w.Limits.InFlight = 1
		w.GiveUpAfter = 80 * time.Second
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, s.Items.Deferred, 5-s.Items.Deferred)
		if got, want := w.since(), 100*time.Second+tick; got != want {
			t.Errorf("over after %v, want %v", got, want)
		}
		w.noted(s, "nothing was accepted for 1 m 20 s (--give-up-after): 503 Service Unavailable; "+
			"the server asked us to wait until "+w.begin.Add(150*time.Second).Format(time.RFC3339))
	})
	// With any answer such a wait is no outage.
	onFakeTime(t, 1, inTurn(answering(500, "Retry-After", "120"), atOnce), func(w *world) {
		w.GiveUpAfter = time.Minute
		w.ended(w.run(), exit.Delivered, 1, 0, 0, 0, 0)
	})
}

// Servers that never accept, each in a way of its own. The run stays polite and ends when the user
// said.
func TestGiveUpOnAServerThat(t *testing.T) {
	var turn atomic.Int64
	waits := []string{"1", "300", "0", "-1", "2", "soon", "9999999999999999999", "30"}
	for i, c := range []struct {
		name    string
		handler http.HandlerFunc
		most    int // requests
	}{
		{"asks for a second each time", answering(429, "Retry-After", "1"), 250},
		{"asks for a second and is down", answering(503, "Retry-After", "1"), 250},
		{"throttles", answering(429), 250},
		{"is overloaded", answering(503), 50},
		{"times out", answering(504), 50},
		{"contradicts itself", answering(429, "RateLimit", `"q";r=100;t=0`, "RateLimit-Policy",
			`"q";q=100;w=1`, "X-RateLimit-Remaining", "0", "X-RateLimit-Reset", "3"), 250},
		{"asks for a year", answering(429, "Retry-After", "31536000"), 2},
		{"hangs", func(http.ResponseWriter, *http.Request) { time.Sleep(10 * time.Minute) }, 50},
		{"resets", func(w http.ResponseWriter,
			r *http.Request) {
			hijacked(w, "", (*memnet.Conn).Reset)
		}, 50},
		{"changes its mind wildly", func(w http.ResponseWriter, r *http.Request) {
			answering(429, "Retry-After", waits[turn.Add(1)%8])(w, r)
		}, 250},
	} {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			t.Parallel()
			onFakeTime(t, 300, c.handler, func(w *world) {
				w.GiveUpAfter, w.MaxWait = 3*time.Minute, time.Hour
				s := w.run()
				if s.ExitStatus != exit.Unavailable || s.Items.Delivered+s.Items.Failed > 0 {
					t.Errorf("exit status %d, %+v\n%s", s.ExitStatus, s.Items, errorsOf(s))
				}
				if w.since() > 9*time.Minute {
					t.Errorf("over after %v", w.since())
				}
				if n := w.asks(); n > c.most {
					t.Errorf("%d requests in %v, want at most %d", n, w.since(), c.most)
				}
				note := strings.Join(s.Notes, "\n")
				if !strings.Contains(note, "try again later") &&
					!strings.Contains(note, "wait until 2000-") {
					t.Errorf("notes %q", s.Notes)
				}
			})
		})
	}
}

// [outage] Answers like 500 from a server that has never accepted anything end the run after ten
// minutes, or when the user says, if that is sooner. An earlier run that delivered something
// counts.
func TestOutageFromTheStart(t *testing.T) {
	for _, c := range []struct {
		status  int
		giveUp  time.Duration
		earlier bool
		after   time.Duration
		says    string
	}{
		{500, time.Hour, false, 10 * time.Minute,
			"nothing was accepted for 10 m, nor ever before: 500 Internal Server Error; try " +
				"again later"},
		{502, time.Minute, false, time.Minute,
			"nothing was accepted for 1 m (--give-up-after): 502 Bad Gateway; try again later"},
		{500, 20 * time.Minute, true, 20 * time.Minute,
			"nothing was accepted for 20 m (--give-up-after): 500 Internal Server Error; try " +
				"again later"},
		{503, 20 * time.Minute, false, 20 * time.Minute,
			"nothing was accepted for 20 m (--give-up-after): 503 Service Unavailable; try again " +
				"later"},
	} {
		n, fails := 0, !c.earlier
		onFakeTime(t, 40, func(w http.ResponseWriter, r *http.Request) {
			if !fails {
				accept(w, r, 0)
				return
			}
			n++
			w.WriteHeader(c.status)
		}, func(w *world) {
			w.Limits.InFlight = 1
			if w.journal(w.db); c.earlier {
				w.MaxDuration = time.Second
				w.Limits.Rate = 10
				if s := w.run(); s.Items.Delivered == 0 || s.Items.Delivered == 40 {
					t.Fatalf("%+v", s.Items)
				}
				w.MaxDuration = 0
				w.journal(w.db)
			}
			fails = true
			begin := w.since()
			w.GiveUpAfter = c.giveUp
			s := w.run()
			if took := w.since() - begin; s.ExitStatus != exit.Unavailable ||
				s.Items.Failed+s.Items.Unknown+s.Items.Delivered > 0 || took < c.after ||
				took > c.after+time.Second ||
				n > int(c.after/(9*time.Second))+10 {
				t.Errorf("%d: exit status %d after %v and %d requests, %+v", c.status,
					s.ExitStatus, took, n, s.Items)
			}
			if !slices.Contains(s.Notes, c.says) {
				t.Errorf("%d: notes %q", c.status, s.Notes)
			}
		})
	}
}

// [servers] One server's end is no other's: its files end with the reason, and the run goes on.
func TestEndOfOneServer(t *testing.T) {
	const each = 40
	for _, c := range []struct {
		name   string
		dial   error
		answer http.HandlerFunc
		says   string
		item   string
		want   report.ItemCounts
		all    report.ItemCounts // where every server is like that
		status int
		alone  int // where every server is like that
	}{
		{name: "unknown host", dial: &net.OpError{Op: "dial", Net: "tcp",
			Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}},
			says: "http://127.0.0.2: no such host: h: check the name",
			item: "no such host: h: check the name",
			want: report.ItemCounts{Delivered: 2 * each,
				Failed: each}, status: exit.Items, alone: exit.Usage},
		{name: "a long pause", answer: answering(http.StatusTooManyRequests, "Retry-After",
			"7200"), says: "http://127.0.0.2: the server asked us to wait until ",
			item: "429 Too Many Requests: asked to wait until 2000-01-01T02:00:00Z, longer " +
				"than --max-wait 1 h",
			want: report.ItemCounts{Delivered: 2 * each,
				Deferred: each}, status: exit.Unavailable, alone: exit.Unavailable},
	} {
		for _, all := range []bool{false, true} {
			var seen atomic.Int64
			onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) {
				if (all || r.Host == "127.0.0.2") && c.answer != nil {
					seen.Add(1)
					c.answer(w, r)
					return
				}
				accept(w, r, 50*time.Millisecond)
			}, func(w *world) {
				dial := w.Network.Dial
				w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
					if (all || addr == "127.0.0.2:80") && c.dial != nil {
						seen.Add(1)
						return nil, c.dial
					}
					return dial(ctx, network, addr)
				}
				w.hosts(3, each)
				w.Limits.InFlight = 4
				w.MaxWait = time.Hour
				s := w.run()
				if all {
					if s.ExitStatus != c.alone || s.Items.Delivered > 0 || seen.Load() > 12 ||
						w.since() > time.Second {
						t.Errorf("%s, all: exit status %d after %v, %d requests, %+v\n%s", c.name,
							s.ExitStatus, w.since(), seen.Load(), s.Items, errorsOf(s))
					}
					return
				}
				want := c.want
				want.Total = 3 * each
				if s.ExitStatus != c.status || s.Items != want || seen.Load() > 4 ||
					w.since() > 5*time.Second {
					t.Errorf("%s: exit status %d after %v, %d requests, %+v, want %d, %+v\n%s",
						c.name, s.ExitStatus, w.since(), seen.Load(), s.Items, c.status, want,
						errorsOf(s))
				}
				if !strings.Contains(w.watch.talk.String(), c.says) ||
					!strings.Contains(errorsOf(s), c.item) {
					t.Errorf("%s: it says %s\n%s", c.name, errorsOf(s), w.watch.talk.String())
				}
			})
		}
	}
}

// Once something was accepted, a URL that cannot be reached is one item's fault.
func TestUnreachableURLAmongOthers(t *testing.T) {
	onFakeTime(t, 2, atOnce, func(w *world) {
		name := w.firstFile()
		second := strings.TrimSuffix(name, "0") + "1"
		w.Limits.InFlight = 1
		w.manifest(fmt.Sprintf("{\"path\":%q}\n{\"path\":%[2]q,\"url\":\"https://127.0.0.1/x\"}\n"+
			"{\"path\":%[2]q,\"url\":\"http://127.0.0.1/y\"}\n", name, second))
		w.ended(w.run(), exit.Items, 2, 1, 0, 0, 0)
	})
}

// [give up] A longer wait than the user allows ends the run at once.
func TestMaxWait(t *testing.T) {
	onFakeTime(t, 5, answering(http.StatusTooManyRequests, "Retry-After", "61"), func(w *world) {
		w.Limits = throttle.Limits{Rate: 10, InFlight: 256}
		w.MaxWait = time.Minute
		s := w.run()
		w.ended(s, exit.Unavailable, 0, 0, 0, 1, 4)
		if w.since() != 0 {
			t.Errorf("ended after %v", w.since())
		}
		w.noted(s,
			"the server asked us to wait until "+w.begin.Add(61*time.Second).Format(time.RFC3339)+
				", longer than --max-wait 1 m")
	})
	// A pause of our own, which grows while a server only says 429, is nothing that the server asks
	// for.
	onFakeTime(t, 5, answering(http.StatusTooManyRequests), func(w *world) {
		w.MaxWait, w.GiveUpAfter = 2*time.Second, time.Minute
		s := w.run()
		w.noted(s,
			"nothing was accepted for 1 m (--give-up-after): 429 Too Many Requests; try again "+
				"later")
		if s.ExitStatus != exit.Unavailable {
			t.Errorf("exit status %d", s.ExitStatus)
		}
	})
}

// A quota that lasts longer than the run waits is not said to be what the server asked for.
func TestQuotaEndsRun(t *testing.T) {
	onFakeTime(t, 2, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("RateLimit-Limit", "1")
		w.Header().Set("RateLimit-Remaining", "0")
		w.Header().Set("RateLimit-Reset", "3600")
		accept(w, r, 0)
	}, func(w *world) {
		w.MaxWait, w.Limits.InFlight = time.Minute, 1
		s := w.run()
		want := "our quota at the server is used up until " +
			w.begin.Add(time.Hour).Format(time.RFC3339) + ", longer than --max-wait 1 m"
		if s.ExitStatus != exit.Unavailable || !slices.Contains(s.Notes, want) {
			t.Errorf("exit status %d, notes %q; want %q", s.ExitStatus, s.Notes, want)
		}
	})
}
