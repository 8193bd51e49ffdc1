package send

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/exit"
	"github.com/penstock/penstock/internal/memnet"
	"github.com/penstock/penstock/internal/progress"
	"github.com/penstock/penstock/internal/race"
	"github.com/penstock/penstock/internal/report"
	"github.com/penstock/penstock/internal/source"
)

// [outage] An outage of a minute: the server is left alone meanwhile, and worked at full pace soon
// after, however few files are left.
func TestOutage(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	type row struct {
		name  string
		files int
		down  http.HandlerFunc // if nil, connections are refused
		post  bool
	}
	rows := []row{
		{"refused, in the middle", 1000, nil, false},
		{"refused, near the end", 203, nil, false},
		{"refused, one or two are left", 202, nil, false},
		{"refused, POST", 1000, nil, true},
		{"reset, in the middle", 1000, func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "", (*memnet.Conn).Reset) }, false},
		{"no HTTP, in the middle", 1000, func(w http.ResponseWriter, _ *http.Request) { hijacked(w, "what?\r\n\r\n", (*memnet.Conn).Close) }, false},
	}
	for _, status := range []int{500, 502, 503, 504, 520, 522} {
		down := answering(status)
		rows = append(rows, row{fmt.Sprintf("%d, in the middle", status), 1000, down, false},
			row{fmt.Sprintf("%d, near the end", status), 203, down, false},
			row{fmt.Sprintf("%d, one or two are left", status), 202, down, false},
			row{fmt.Sprintf("%d, POST", status), 1000, down, true})
	}
	for i, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			race.Few(t, i)
			handler := taking(100 * time.Millisecond)
			if c.down != nil {
				handler = during(from, to, c.down, handler)
			}
			onFakeTime(t, c.files, handler, func(w *world) {
				w.Limits.Rate = 20
				if c.post {
					w.method("POST")
				}
				if c.down == nil {
					w.Header = http.Header{"Connection": {"close"}} // so that the outage is seen
					time.AfterFunc(from, func() { w.net.Refuse(true) })
					time.AfterFunc(to, func() { w.net.Refuse(false) })
				}
				s := w.run()
				var flying int
				for _, snap := range w.watch.snapshots {
					if snap.Elapsed < from {
						flying = snap.InFlight
					}
				}
				if extra := s.Requests.Sent - s.Requests.Accepted - int64(flying); extra > 12 {
					t.Errorf("%d requests to a server that was down, beyond %d in flight", extra, flying)
				}
				if unknown := s.Items.Unknown; c.post && unknown > 0 && unknown <= s.Requests.Sent-s.Requests.Accepted {
					w.ended(s, exit.Items, int64(c.files)-unknown, 0, unknown, 0, 0) // those in flight, and the probes
				} else {
					w.ended(s, exit.Delivered, int64(c.files), 0, 0, 0, 0)
				}
				if want := 1 - float64(s.Requests.Accepted)/float64(s.Requests.Sent); math.Abs(s.Requests.Waste-want) > 1.5/float64(s.Requests.Sent) { // an idle connection's end says nothing
					t.Errorf("waste %v, want %v", s.Requests.Waste, want)
				}
				const full = to + 15*time.Second
				if left := w.accepted(full, always); left > 0 {
					if n := w.accepted(full, full+10*time.Second); n < 195 && left > 200 {
						t.Errorf("%d accepted in ten seconds, a while after the outage", n)
					}
					if c.files < 1000 {
						t.Errorf("%d accepted late, at the end after %v", left, w.since())
					}
				}
				w.logged("http://127.0.0.1 is down (", 1)
				w.logged("http://127.0.0.1 answers again; nothing was accepted for 1 m", 1)
				if s.Waited[progress.LimitDown] < 60 || s.Waited[progress.LimitDown] > 70 {
					t.Errorf("%v s of a minute down", s.Waited[progress.LimitDown])
				}
			})
		})
	}
}

// Of three servers in one manifest the first wants to be left alone for ten
// minutes and the second is down for one. The third notices nothing.
func TestOutageOfOneServerAmongThree(t *testing.T) {
	const each = 100
	take := taking(50 * time.Millisecond)
	byHost := map[string]http.HandlerFunc{
		"127.0.0.1": inTurn(answering(http.StatusServiceUnavailable, "Retry-After", "600"), take),
		"127.0.0.2": during(0, time.Minute, answering(http.StatusServiceUnavailable), take),
		"127.0.0.3": take,
	}
	onFakeTime(t, 1, func(w http.ResponseWriter, r *http.Request) { byHost[r.Host](w, r) }, func(w *world) {
		w.hosts(3, each)
		accepted := func(host int, from, to time.Duration) int {
			return w.count(func(c *call) bool {
				return c.host == fmt.Sprintf("127.0.0.%d", host) && from < c.accepted && c.accepted < to
			})
		}
		w.Limits.InFlight = 4
		w.GiveUpAfter = 5 * time.Minute
		s := w.run()
		w.ended(s, exit.Delivered, 3*each, 0, 0, 0, 0)
		if n := accepted(3, 0, 3*time.Second); n != each {
			t.Errorf("the third server had %d of %d after three seconds", n, each)
		}
		if n := accepted(2, 0, 75*time.Second); n != each {
			t.Errorf("the second server had %d of %d 15 s after its outage", n, each)
		}
		if n := accepted(1, 10*time.Minute, 10*time.Minute+8*time.Second); n < each-1 {
			t.Errorf("the first server had %d of %d soon after its pause", n, each)
		}
		words := strings.Join(w.watch.holding(), "\n")
		for _, want := range []string{"2 servers are paused or down\n", "\n127.0.0.2: server down (503): next try within 8 s, --give-up-after 00:05; 127.0.0.1 is paused 9 m", "\n127.0.0.1: paused 5 m 0 s: Retry-After\n"} {
			if !strings.Contains(words, want) {
				t.Errorf("it never says %q but\n%s", want, words[:min(len(words), 2500)])
			}
		}
	})
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
		{500, time.Hour, false, 10 * time.Minute, "nothing was accepted for 10 m, nor ever before: 500 Internal Server Error; try again later"},
		{502, time.Minute, false, time.Minute, "nothing was accepted for 1 m (--give-up-after): 502 Bad Gateway; try again later"},
		{500, time.Hour, true, time.Hour, "nothing was accepted for 1 h (--give-up-after): 500 Internal Server Error; try again later"},
		{503, time.Hour, false, time.Hour, "nothing was accepted for 1 h (--give-up-after): 503 Service Unavailable; try again later"},
	} {
		journal := filepath.Join(t.TempDir(), "j.db")
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
			if w.journal(journal); c.earlier {
				w.MaxDuration = time.Second
				w.Limits.Rate = 10
				if s := w.run(); s.Items.Delivered == 0 || s.Items.Delivered == 40 {
					t.Fatalf("%+v", s.Items)
				}
				w.MaxDuration = 0
				w.journal(journal)
			}
			fails = true
			begin := w.since()
			w.GiveUpAfter = c.giveUp
			s := w.run()
			if took := w.since() - begin; s.ExitStatus != exit.Unavailable || s.Items.Failed+s.Items.Unknown+s.Items.Delivered > 0 || took < c.after || took > c.after+time.Second ||
				n > int(c.after/(9*time.Second))+10 {
				t.Errorf("%d: exit status %d after %v and %d requests, %+v", c.status, s.ExitStatus, took, n, s.Items)
			}
			if !slices.Contains(s.Notes, c.says) {
				t.Errorf("%d: notes %q", c.status, s.Notes)
			}
		})
	}
}

// An outage of one of those in between, the proxy or TLS, in the middle of a run.
func TestOutageOfWhatIsInBetween(t *testing.T) {
	const from, to = 10 * time.Second, 70 * time.Second
	for _, proxied := range []bool{true, false} {
		var config *tls.Config
		var tries, accepted atomic.Int64
		var begin time.Time
		onRawServer(t, 300, func(c net.Conn) {
			since := time.Since(begin)
			down := since >= from && since < to
			if down {
				tries.Add(1)
			}
			if proxied {
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				if down {
					_, _ = io.WriteString(c, "HTTP/1.1 502 Bad Gateway\r\n\r\n")
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			}
			conf := config
			if down {
				conf = new(tls.Config) // without a certificate
			}
			secure := tls.Server(c, conf)
			defer secure.Close()
			req, err := http.ReadRequest(bufio.NewReader(secure))
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body)
			accepted.Add(1)
			_, _ = io.WriteString(secure, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}, func(w *world) {
			begin = time.Now()
			a := newAuthority(t)
			config = &tls.Config{Certificates: []tls.Certificate{a.issue(t, &x509.Certificate{DNSNames: []string{"h.example"}})}}
			w.Network.TLS = &tls.Config{RootCAs: a.pool}
			word := "https://h.example is down (TLS failed)"
			if proxied {
				w.Network.Proxy, word = &url.URL{Scheme: "http", Host: "proxy.example"}, "the proxy proxy.example:80 is down (502 Bad Gateway)"
			}
			dir := t.TempDir()
			for i := range 300 {
				if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte("x"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w.from("https://h.example/{path}", source.Options{Paths: []string{dir}})
			w.Limits.Rate = 10
			s := w.run()
			w.ended(s, exit.Delivered, 300, 0, 0, 0, 0)
			if n := tries.Load(); n < 5 || n > 12 {
				t.Errorf("%d tries while it was down", n)
			}
			if w.since() > to+30*time.Second {
				t.Errorf("over after %v", w.since())
			}
			if talk := w.watch.talk.String(); !strings.Contains(talk, word) || !strings.Contains(talk, "answers again; nothing was accepted for 1 m") {
				t.Errorf("it says %s", strings.Join(regexp.MustCompile(`.*level=INFO.*`).FindAllString(talk, -1), "\n"))
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
		{name: "unknown host", dial: &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "h", IsNotFound: true}},
			says: "http://127.0.0.2: no such host: h: check the name", item: "no such host: h: check the name",
			want: report.ItemCounts{Delivered: 2 * each, Failed: each}, status: exit.Items, alone: exit.Usage},
		{name: "a long pause", answer: answering(http.StatusTooManyRequests, "Retry-After", "7200"), says: "http://127.0.0.2: the server asked us to wait until ", item: "429 Too Many Requests: asked to wait until 2000-01-01T02:00:00Z, longer than --max-wait 1 h",
			want: report.ItemCounts{Delivered: 2 * each, Deferred: each}, status: exit.Unavailable, alone: exit.Unavailable},
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
					if s.ExitStatus != c.alone || s.Items.Delivered > 0 || seen.Load() > 12 || w.since() > time.Second {
						t.Errorf("%s, all: exit status %d after %v, %d requests, %+v\n%s", c.name, s.ExitStatus, w.since(), seen.Load(), s.Items, errorsOf(s))
					}
					return
				}
				want := c.want
				want.Total = 3 * each
				if s.ExitStatus != c.status || s.Items != want || seen.Load() > 4 || w.since() > 5*time.Second {
					t.Errorf("%s: exit status %d after %v, %d requests, %+v, want %d, %+v\n%s", c.name, s.ExitStatus, w.since(), seen.Load(), s.Items, c.status, want, errorsOf(s))
				}
				if !strings.Contains(w.watch.talk.String(), c.says) || !strings.Contains(errorsOf(s), c.item) {
					t.Errorf("%s: it says %s\n%s", c.name, errorsOf(s), w.watch.talk.String())
				}
			})
		}
	}
}

// A name server that fails, or does not answer, is an outage, also from the start.
func TestOutageOfDNS(t *testing.T) {
	for _, failure := range []*net.DNSError{
		{Err: "server misbehaving", IsTemporary: true},
		{Err: "i/o timeout", IsTimeout: true, IsTemporary: true},
		{Err: "no such host", IsNotFound: true, IsTemporary: true}, // as some resolvers say when they could not ask
	} {
		var tries int
		onFakeTime(t, 50, atOnce, func(w *world) {
			dial := w.Network.Dial
			w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if w.since() < time.Minute {
					tries++
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: failure}
				}
				return dial(ctx, network, addr)
			}
			w.ended(w.run(), exit.Delivered, 50, 0, 0, 0, 0)
			if tries > 12 || !strings.Contains(w.watch.talk.String(), "is down (its name cannot be looked up)") {
				t.Errorf("%v: %d tries\n%s", failure, tries, w.watch.talk.String())
			}
		})
	}
}

// However many files that may not be repeated are in flight when an outage begins, only the probes
// that come after them count towards the twenty that end a run.
func TestOutageFindsManyInFlight(t *testing.T) {
	const from, to = 5 * time.Second, 65 * time.Second
	for _, status := range []int{500, 504} {
		down := answering(status)
		late := func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			during(from, to, down, atOnce)(w, r)
		}
		onFakeTime(t, 600, late, func(w *world) {
			w.method("POST")
			w.Limits.InFlight = 50
			s := w.run()
			n := s.Items.Unknown
			w.ended(s, exit.Items, 600-n, 0, n, 0, 0)
			if n <= 50 || n > 50+12 {
				t.Errorf("%d: %d files are unknown, want the 50 that were in flight, and probes", status, n)
			}
		})
	}
}

// [open files] Where few files may be open few connections are made, those to servers that are done
// with are closed, and nothing fails: also where a connection fails for it all the same.
func TestFewOpenFiles(t *testing.T) {
	const hosts = 200
	onFakeTime(t, 1, taking(50*time.Millisecond), func(w *world) {
		var lines strings.Builder
		for i := range 400 {
			fmt.Fprintf(&lines, "{\"path\":%q,\"url\":\"http://10.0.0.%d/%d\"}\n", w.firstFile(), i%hosts, i)
		}
		w.manifest(lines.String())
		dial := w.Network.Dial
		var mu sync.Mutex
		var dialled, open, most int
		w.Network.MaxFiles = 64
		w.Network.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			if dialled++; dialled%5 == 0 {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			open++
			most = max(most, open)
			return closedConn{c, sync.OnceFunc(func() {
				mu.Lock()
				defer mu.Unlock()
				open--
			})}, nil
		}
		s := w.run()
		w.ended(s, exit.Delivered, 400, 0, 0, 0, 0)
		if most > 20 || s.Requests.Sent != 400 || w.since() > 10*time.Second {
			t.Errorf("%d connections at once, %d requests in %v", most, s.Requests.Sent, w.since())
		}
		if n := strings.Count(w.watch.talk.String(), "only 64 files may be open at once (ulimit -n): there are no more than 20 connections"); n != 1 {
			t.Errorf("said %d times", n)
		}
	})
}

// closedConn calls closed when it is closed.
type closedConn struct {
	net.Conn
	closed func()
}

func (c closedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// A server that hangs for 70 seconds gets no more than what was in flight, and probes.
func TestOutageThatHangs(t *testing.T) {
	const from, to = 10 * time.Second, 80 * time.Second
	for _, method := range []string{"PUT", "POST"} {
		hang := func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // or the server does not see the connection's end
			<-r.Context().Done()
		}
		onFakeTime(t, 2000, during(from, to, hang, taking(100*time.Millisecond)), func(w *world) {
			w.method(method)
			w.Limits.Rate, w.Limits.InFlight = 20, 8
			s := w.run()
			if n := s.Items.Unknown; method == "POST" && n >= 8 && n <= 8+12 {
				w.ended(s, exit.Items, 2000-n, 0, n, 0, 0)
			} else {
				w.ended(s, exit.Delivered, 2000, 0, 0, 0, 0)
			}
			if n := s.Requests.Sent - s.Requests.Accepted; n > 8+12 {
				t.Errorf("%s: %d requests to a server that hung", method, n)
			}
			const full = to + 25*time.Second // a probe may hang, and the next one comes 20 seconds after it
			if n := w.accepted(full, full+10*time.Second); n < 195 {
				t.Errorf("%s: %d accepted in ten seconds, a while after it", method, n)
			}
		})
	}
}
